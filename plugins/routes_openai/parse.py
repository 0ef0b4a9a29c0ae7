"""From a body that asks for text to the one internal request."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hoshikage import Adapter, ChatRequest, Sampling
from hoshikage.core.errors import InvalidRequest, NotSupported
from hoshikage.core.http.callers import check_name, problem_of_name
from hoshikage.core.http.durations import keep_alive_s
from hoshikage.plugins.routes_openai.constraints import constraint
from hoshikage.plugins.routes_openai.messages import conversation
from hoshikage.plugins.routes_openai.thinking import template_variables, thinking
from hoshikage.plugins.routes_openai.tools import offer

if TYPE_CHECKING:
    from hoshikage.plugins.routes_openai.bodies import ChatBody, GenerationBody, LoraBody

LONGEST_TOKEN_ID = 9  # digits; no vocabulary has a billion tokens
# These two are written otherwise in a body; all others have the same name and meaning.
SAMPLING_FIELDS = tuple(f.name for f in dataclasses.fields(Sampling) if f.name not in {"logit_bias", "ignore_eos"})


def chat_request(body: ChatBody, request_id: str) -> ChatRequest:
    """Translate the body of a chat.

    Raises:
        NotSupported: it asks for something that no engine here can do.
        InvalidRequest: a value has the right type but makes no sense.
    """
    if others := sorted(set(body.modalities or ()) - {"text"}):
        raise NotSupported(f"modalities: {others[0][:40]!r} is not supported, only 'text'", param="modalities")
    offered = offer(body)
    return dataclasses.replace(
        common_request(body, request_id),
        messages=conversation(body.messages, body.model),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        logprobs=_logprobs(body),
        tools=offered.tools,
        tool_choice=offered.choice,
        parallel_tool_calls=offered.parallel,
        thinking=thinking(body),
        template_variables=template_variables(body),
    )


def common_request(body: GenerationBody, request_id: str) -> ChatRequest:
    """What chats and completions say in the same words."""
    return ChatRequest(
        request_id=request_id,
        model=body.model,
        sampling=sampling(body),
        max_tokens=body.max_tokens,
        stop=_stop(body.stop),
        stream=bool(body.stream),
        keep_alive_s=keep_alive_s(body.keep_alive),
        n=body.n or 1,
        constraint=constraint(body),
        adapters=tuple(_adapter(lora, f"lora[{i}]") for i, lora in enumerate(body.lora or ())),
        deadline_s=body.timeout,
        context_length=body.options.num_ctx if body.options else None,
    )


def sampling(body: GenerationBody) -> Sampling:
    """The sampling that a body asks for."""
    same: dict[str, Any] = {name: getattr(body, name) for name in SAMPLING_FIELDS}
    bias = {_token_id(key): value for key, value in (body.logit_bias or {}).items()}
    return Sampling(**same, logit_bias=bias, ignore_eos=bool(body.ignore_eos))


def asks_for_usage(body: GenerationBody) -> bool:
    """Whether a stream is to end with the token counts."""
    return bool(body.stream_options and body.stream_options.include_usage)


def session_of(body: ChatBody) -> str:
    """The conversation as a body names it: by `session_id`, or else in `metadata`, where official clients can put it.

    Metadata are the client's own affair, so what can be no name there is passed over.

    Raises:
        InvalidRequest: `session_id` can be no name.
    """
    if body.session_id:
        return check_name(body.session_id, "session_id")
    named = body.metadata.get("session_id") if isinstance(body.metadata, dict) else None
    return named if isinstance(named, str) and not problem_of_name(named) else ""


def _stop(given: str | list[str] | None) -> tuple[str, ...]:
    """Stop strings; an empty one would stop everything, and is what some clients send for none."""
    strings = [given] if isinstance(given, str) else given or []
    return tuple(s for s in strings if s)


def _token_id(key: str) -> int:
    """A token id as JSON writes it: a key is always a string."""
    if not key.isascii() or not key.isdecimal() or len(key) > LONGEST_TOKEN_ID:
        raise InvalidRequest(f"logit_bias: the key {key[:40]!r} is no token id", param="logit_bias")
    return int(key)


def _logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise InvalidRequest("top_logprobs: set logprobs to true to get them", param="top_logprobs")
    return None


def _adapter(body: LoraBody, field: str) -> Adapter:
    name = body.name or (str(body.id) if body.id not in (None, "") else "")
    if not name:
        raise InvalidRequest(
            f"{field}.name: this field is required: an adapter's name in the model's options", param=f"{field}.name"
        )
    return Adapter(name, 1.0 if body.scale is None else body.scale)
