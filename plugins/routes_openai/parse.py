"""From an OpenAI body to the one internal request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import ChatRequest, Message, Sampling
from hoshikage.core.errors import InvalidRequest, NotSupported

if TYPE_CHECKING:
    from hoshikage.plugins.routes_openai.bodies import ChatBody, MessageBody

LONGEST_TOKEN_ID = 9  # digits; no vocabulary has a billion tokens
ROLES = {"developer": "system", "function": "tool"}


def chat_request(body: ChatBody, request_id: str) -> ChatRequest:
    """Translate a body.

    Raises:
        NotSupported: it asks for something that no engine here can do.
        InvalidRequest: a value has the right type but makes no sense.
    """
    refuse_unsupported(body)
    return ChatRequest(
        request_id=request_id,
        model=body.model,
        messages=tuple(message(m, f"messages[{i}]") for i, m in enumerate(body.messages)),
        sampling=sampling(body),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        stream=bool(body.stream),
    )


def sampling(body: ChatBody) -> Sampling:
    """The sampling that a body asks for."""
    return Sampling(
        temperature=body.temperature,
        top_k=body.top_k,
        top_p=body.top_p,
        min_p=body.min_p,
        typical_p=body.typical_p,
        repeat_penalty=body.repeat_penalty,
        repeat_last_n=body.repeat_last_n,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
        logit_bias={token_id(key): bias for key, bias in (body.logit_bias or {}).items()},
    )


def token_id(key: str) -> int:
    """A token id as JSON writes it: a key is always a string."""
    if not key.isascii() or not key.isdecimal() or len(key) > LONGEST_TOKEN_ID:
        raise InvalidRequest(f"logit_bias: the key {key[:40]!r} is no token id", param="logit_bias")
    return int(key)


def message(body: MessageBody, field: str) -> Message:
    """One message, its text parts joined."""
    if body.tool_calls or body.function_call:
        raise NotSupported(f"{field}.tool_calls: tool calls are not supported", param=f"{field}.tool_calls")
    return Message(ROLES.get(body.role, body.role), content(body, field), body.name)


def content(body: MessageBody, field: str) -> str:
    """The text of a message."""
    if body.content is None or isinstance(body.content, str):
        return body.content or ""
    for part in body.content:
        if part.type != "text" or part.text is None:
            raise NotSupported(
                f"{field}.content: parts of type {part.type!r} are not supported, only text",
                param=f"{field}.content",
            )
    return "".join(part.text or "" for part in body.content)


def refuse_unsupported(body: ChatBody) -> None:
    """Say no to what would otherwise be left out in silence."""
    asked = {
        "tools": body.tools,
        "functions": body.functions,
        "tool_choice": body.tool_choice not in (None, "none", "auto"),
        "response_format": (body.response_format or {}).get("type", "text") != "text",
        "logprobs": body.logprobs or body.top_logprobs,
        "n": (body.n or 1) > 1,
        "modalities": set(body.modalities or ()) - {"text"},
        "grammar": body.grammar,
        "json_schema": body.json_schema,
    }
    for field, wanted in asked.items():
        if wanted:
            raise NotSupported(f"{field}: this is not supported by model {body.model!r}", param=field)
