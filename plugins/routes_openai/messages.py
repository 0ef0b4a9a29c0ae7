"""From the messages of a body to the turns of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from hoshikage import Message, ToolCall
from hoshikage.core.errors import InvalidRequest, NotSupported
from hoshikage.core.http.body import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.plugins.routes_openai.bodies import CallBody, CalledFunction, MessageBody, Part

ROLES = {"developer": "system", "function": "tool"}
MEDIA = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "video_url": "video",
    "file": "file",
    "input_file": "file",
}


def conversation(bodies: Sequence[MessageBody], model: str) -> tuple[Message, ...]:
    """Every message in its order.

    Raises:
        NotSupported: a message holds something besides text and function calls.
        InvalidRequest: a call's arguments are no JSON object, or a text part has no text.
    """
    calls = _Calls()
    return tuple(_message(body, f"messages[{i}]", calls, model) for i, body in enumerate(bodies))


class _Calls:
    """The calls of a conversation so far: results name the id alone, and templates want the function's name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._open: list[ToolCall] = []
        self._made = 0

    def new_id(self) -> str:
        """An id for a call without one; the same conversation gets the same ids, so its prompt stays the same."""
        self._made += 1
        return f"call_{self._made}"

    def add(self, calls: Sequence[ToolCall]) -> None:
        """Remember the calls of one message."""
        self._names.update({c.id: c.name for c in calls})
        self._open += calls

    def answered(self, call_id: str | None, name: str | None) -> tuple[str, str | None]:
        """The id and the function's name of a result; what is missing is that of the oldest open call that fits."""
        if not call_id:
            fitting = (c for c in self._open if name in (None, c.name))
            call = next(fitting, ToolCall("", name or ""))
            call_id, name = call.id, call.name or None
        self._open = [c for c in self._open if c.id != call_id]
        return call_id, name or self._names.get(call_id)


def _message(body: MessageBody, field: str, calls: _Calls, model: str) -> Message:
    role = ROLES.get(body.role, body.role)
    text = _text(body.content, f"{field}.content", model)
    if role == "tool":
        call_id, name = calls.answered(body.tool_call_id, body.name)
        return Message(role, text, name, tool_call_id=call_id)
    if role != "assistant":
        return Message(role, text, body.name)
    made = _calls(body, field, calls)
    calls.add(made)
    reasoning = body.reasoning_content or body.reasoning or ""
    return Message(role, text, body.name, reasoning=reasoning, tool_calls=made)


def _text(content: str | list[Part] | None, field: str, model: str) -> str:
    """The text of a message, its parts joined."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(_part(part, f"{field}[{i}]", field, model) for i, part in enumerate(content))


def _part(part: Part, place: str, field: str, model: str) -> str:
    """The text of one part; clients find what they must leave out by the message's `content`."""
    if part.type == "refusal":
        return part.refusal or ""
    if part.type == "text":
        if part.text is None:
            raise InvalidRequest(f"{place}.text: this field is required", param=f"{place}.text")
        return part.text
    if medium := MEDIA.get(part.type):
        raise NotSupported(f"{field}: {medium} input is not supported by model {model!r}; send text", param=field)
    raise NotSupported(f"{field}: parts of type {part.type[:40]!r} are not supported, only text", param=field)


def _calls(body: MessageBody, field: str, calls: _Calls) -> tuple[ToolCall, ...]:
    made = [_call(c, f"{field}.tool_calls[{i}]", calls) for i, c in enumerate(body.tool_calls or ())]
    if body.function_call is not None:
        made.append(_called(body.function_call, None, f"{field}.function_call", calls))
    return tuple(made)


def _call(body: CallBody, field: str, calls: _Calls) -> ToolCall:
    if body.function is None:
        if body.type not in (None, "function"):
            raise NotSupported(
                f"{field}.type: calls of type {body.type[:40]!r} are not supported, only 'function'",
                param=f"{field}.type",
            )
        raise InvalidRequest(f"{field}.function: this field is required", param=f"{field}.function")
    return _called(body.function, body.id, f"{field}.function", calls)


def _called(body: CalledFunction, call_id: str | None, field: str, calls: _Calls) -> ToolCall:
    return ToolCall(call_id or calls.new_id(), body.name, _arguments(body, f"{field}.arguments"))


def _arguments(body: CalledFunction, field: str) -> str:
    """The arguments as the text of a JSON object; nothing at all counts as no arguments."""
    if isinstance(body.arguments, dict):
        return json_text(body.arguments, field)
    text = (body.arguments or "").strip() or "{}"
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{field}: this is no valid JSON: {error}", param=field) from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field}: this must be the text of a JSON object", param=field)
    return text
