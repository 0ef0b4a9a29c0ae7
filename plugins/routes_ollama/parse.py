"""From an Ollama body to the one internal request."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import structlog

from hoshikage import ChatRequest, Message, Sampling
from hoshikage.core.errors import InvalidRequest, NotSupported
from hoshikage.core.http.body import check
from hoshikage.plugins.routes_ollama.bodies import ChatBody, GenerateBody, Options, ShowBody
from hoshikage.plugins.routes_ollama.context import read_context

if TYPE_CHECKING:
    from hoshikage.plugins.routes_ollama.bodies import MessageBody

log = structlog.get_logger(__name__)

SAMPLING_FIELDS = tuple(f.name for f in dataclasses.fields(Sampling) if f.name in Options.__struct_fields__)
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<sign>[+-]?)(?P<parts>(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+)")
_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")


def model_of(body: ChatBody | GenerateBody | ShowBody) -> str:
    """The model that a body names, by the new spelling or the old."""
    name = body.model or body.name
    if not name:
        raise InvalidRequest("model is required", param="model")
    return name


def chat_request(body: ChatBody, request_id: str) -> ChatRequest:
    """Translate the body of `/api/chat`; see `generate_request` for the errors."""
    refuse_unsupported(body, {"tools": body.tools})
    return _request(body, request_id, tuple(message(m, model_of(body)) for m in body.messages or ()), None)


def generate_request(body: GenerateBody, request_id: str) -> ChatRequest:
    """Translate the body of `/api/generate`.

    Raises:
        NotSupported: it asks for something that no engine here can do.
        InvalidRequest: a field has the right type but makes no sense.
    """
    refuse_unsupported(body, {"insert": body.suffix, "custom templates": body.template, "images": body.images})
    if body.raw:
        return _request(body, request_id, (), body.prompt or "")
    system = (Message("system", body.system),) if body.system else ()
    history = read_context(body.context) if body.context else ()
    user = (Message("user", body.prompt or ""),)
    return _request(body, request_id, (*system, *history, *user), None)


def message(body: MessageBody, model: str) -> Message:
    """One message of text."""
    if body.images:
        raise NotSupported(f'"{model}" does not support images', param="images")
    if body.tool_calls:
        raise NotSupported(f'"{model}" does not support tools', param="tool_calls")
    if body.role not in {"system", "user", "assistant", "tool"}:
        raise InvalidRequest(
            f"messages: the role {body.role!r} is unknown; use system, user, assistant or tool",
            param="messages",
        )
    return Message(body.role, body.content or "")


def keep_alive_s(value: float | str | None) -> float | None:
    """How long to keep the model: a number of seconds, or a Go duration such as `5m` or `-1m`.

    Raises:
        InvalidRequest: the text is no duration.
    """
    if value is None or isinstance(value, int | float):
        return value
    text = value.strip()
    match = _DURATION.fullmatch(text)
    if match is None:
        try:
            return float(text)  # Go refuses a bare number in a string; clients send it all the same
        except ValueError:
            raise InvalidRequest(
                f"keep_alive: {value!r} is no duration; use seconds, or a text such as 5m or 1h30m",
                param="keep_alive",
            ) from None
    seconds = sum(float(number) * SECONDS[unit] for number, unit in _PART.findall(match["parts"]))
    return -seconds if match["sign"] == "-" else seconds


def refuse_unsupported(body: ChatBody | GenerateBody, asked: dict[str, Any]) -> None:
    """Say no to what would otherwise be left out in silence, in the words that clients look for."""
    thinking = body.think not in (None, False)
    for what, wanted in {
        **asked,
        "thinking": thinking,
        "format": body.format,
        "logprobs": body.logprobs,
    }.items():
        if wanted:
            raise NotSupported(f'"{model_of(body)}" does not support {what}', param=what)


def _request(
    body: ChatBody | GenerateBody, request_id: str, messages: tuple[Message, ...], prompt: str | None
) -> ChatRequest:
    options = _options(body.options or {})
    return ChatRequest(
        request_id=request_id,
        model=model_of(body),
        messages=messages,
        prompt=prompt,
        sampling=Sampling(**{name: getattr(options, name) for name in SAMPLING_FIELDS}),
        max_tokens=_max_tokens(options.num_predict),
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        stream=body.stream is not False,
        keep_alive_s=keep_alive_s(body.keep_alive),
    )


def _options(given: dict[str, Any]) -> Options:
    ignored = sorted(k for k, v in given.items() if v is not None and k not in Options.__struct_fields__)
    if ignored:
        log.warning("options_ignored", options=ignored)
    return check({"options": given}, _Wrapped).options


def _max_tokens(num_predict: int | None) -> int | None:
    """Ollama's 0, -1 and -2 all mean: as far as the context goes."""
    if num_predict is None:
        return None
    return num_predict if num_predict > 0 else -1


@dataclasses.dataclass(frozen=True, slots=True)
class _Wrapped:
    """Gives an error in an option its full path, `options.temperature`."""

    options: Options
