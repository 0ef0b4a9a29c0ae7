"""Bodies as clients send them, read as the routes read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.body import check
from hoshikage.plugins.routes_openai.bodies import ChatBody, CompletionBody, EmbeddingsBody, RerankBody
from hoshikage.plugins.routes_openai.parse import chat_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage import ChatRequest

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
    },
}


def chat(**fields: Any) -> ChatBody:
    """The body of a chat."""
    return check({"model": "m", "messages": HELLO, **fields}, ChatBody)


def asked(**fields: Any) -> ChatRequest:
    """What a chat with these fields asks for."""
    return chat_request(chat(**fields), "r1")


def completion(**fields: Any) -> CompletionBody:
    """The body of a completion."""
    return check({"model": "m", "prompt": "once upon", **fields}, CompletionBody)


def embeddings(**fields: Any) -> EmbeddingsBody:
    """The body of a request for vectors."""
    return check({"model": "m", "input": "hello", **fields}, EmbeddingsBody)


def rerank(**fields: Any) -> RerankBody:
    """The body of a request for relevance."""
    return check({"model": "m", "query": "sun", "documents": ["moon", "star"], **fields}, RerankBody)


def refusal(ask: Callable[..., object], *arguments: Any, **fields: Any) -> InvalidRequest:
    """The 400 that a call ends with; its message names the field that `param` names."""
    with pytest.raises(InvalidRequest) as caught:
        ask(*arguments, **fields)
    assert caught.value.param is not None
    assert caught.value.message.startswith(f"{caught.value.param}: ")
    return caught.value


def events(data: bytes) -> list[dict[str, Any]]:
    """The objects in server-sent events, without the end mark."""
    lines = [line for line in data.decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]
