"""Bodies as clients send them, and answers as the kernel gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage import Caller, ChatRequest, Done, Receipt, ToolCallDelta, Usage
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.body import check
from hoshikage.plugins.routes_ollama.bodies import ChatBody, EmbedBody, EmbeddingsBody, GenerateBody
from hoshikage.plugins.routes_ollama.parse import chat_request, generate_request
from hoshikage.plugins.routes_ollama.vectors import embed_request, embeddings_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage import EmbedRequest, FinishReason

HELLO = {"role": "user", "content": "hello"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather of a city.", "parameters": CITY},
}


def chat(**fields: Any) -> ChatRequest:
    """What a chat with these fields asks for."""
    return chat_request(check({"model": "m", "messages": [HELLO], **fields}, ChatBody), "r1")


def generate(**fields: Any) -> ChatRequest:
    """What a generate with these fields asks for."""
    return generate_request(check({"model": "m", "prompt": "hello", **fields}, GenerateBody), "r1")


def embed(**fields: Any) -> EmbedRequest:
    """What an embed with these fields asks for."""
    return embed_request(check({"model": "m", **fields}, EmbedBody), "r1")


def embeddings(**fields: Any) -> EmbedRequest:
    """What the older route for embeddings asks for."""
    return embeddings_request(check({"model": "m", **fields}, EmbeddingsBody), "r1")


def refusal(ask: Callable[..., object], *arguments: Any, **fields: Any) -> InvalidRequest:
    """The 400 that a call ends with."""
    with pytest.raises(InvalidRequest) as caught:
        ask(*arguments, **fields)
    assert 400 == caught.value.status
    return caught.value


def receipt(**fields: Any) -> Receipt:
    """The account of an answer that took 2 seconds, half of it loading."""
    times = {"started_at": 0.0, "queue_s": 0.0, "load_s": 1.0, "total_s": 2.0}
    return Receipt(request_id="r1", model="m", caller=Caller(), outcome="done", **{**times, **fields})


def done(reason: FinishReason = "stop") -> Done:
    """The end of an answer of 5 tokens to 3."""
    return Done(reason, Usage(prompt_tokens=3, completion_tokens=5, prefill_s=0.25, decode_s=0.5), receipt())


def call_deltas(index: int, name: str, *arguments: str) -> list[ToolCallDelta]:
    """What a call comes in: its name, then its arguments piece by piece."""
    pieces = [ToolCallDelta(index, arguments=text) for text in arguments]
    return [ToolCallDelta(index, id=f"call_{index}", name=name), *pieces]


def lines(data: bytes) -> list[dict[str, Any]]:
    """The objects in lines of JSON: each line ends, and none is empty."""
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(text) for text in data.decode().split("\n")[:-1]]
