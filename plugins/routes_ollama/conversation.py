"""From the messages of a body to the turns of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import Message, ToolCall
from hoshikage.core.errors import InvalidRequest, NotSupported
from hoshikage.core.http.body import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hoshikage.plugins.routes_ollama.bodies import CallBody, MessageBody

ROLES = ("system", "user", "assistant", "tool")


def conversation(bodies: Sequence[MessageBody], model: str) -> tuple[Message, ...]:
    """Every message in its order.

    Raises:
        NotSupported: a message holds images.
        InvalidRequest: a role is unknown, or arguments are nested too deeply.
    """
    calls = _Calls()
    return tuple(_message(body, f"messages[{i}]", calls, model) for i, body in enumerate(bodies))


class _Calls:
    """The calls so far: clients send neither their ids nor, with results, what the result is of in every case."""

    def __init__(self) -> None:
        self._open: list[ToolCall] = []
        self._names: dict[str, str] = {}
        self._made = 0

    def begin(self, body: CallBody, field: str) -> ToolCall:
        """A call. Without an id it gets its number: the same conversation has the same ids, so its prompt too."""
        self._made += 1
        arguments = json_text(body.function.arguments or {}, f"{field}.function.arguments")
        call = ToolCall(body.id or f"call_{self._made}", body.function.name, arguments)
        self._open.append(call)
        self._names[call.id] = call.name
        return call

    def end(self, call_id: str, name: str) -> tuple[str, str]:
        """The id and the function's name of a result; what is missing is that of the oldest open call that fits."""
        if not call_id:
            call = next((c for c in self._open if name in ("", c.name)), ToolCall("", name))
            call_id, name = call.id, call.name
        self._open = [c for c in self._open if c.id != call_id]
        return call_id, name or self._names.get(call_id, "")


def _message(body: MessageBody, field: str, calls: _Calls, model: str) -> Message:
    refuse_images(body.images, model, f"{field}.images")
    text = body.content or ""
    match body.role:
        case "system" | "user":
            return Message(body.role, text)
        case "assistant":
            made = tuple(calls.begin(c, f"{field}.tool_calls[{i}]") for i, c in enumerate(body.tool_calls or ()))
            return Message("assistant", text, reasoning=body.thinking or "", tool_calls=made)
        case "tool":
            call_id, name = calls.end(body.tool_call_id or "", body.tool_name or "")
            return Message("tool", text, name or None, tool_call_id=call_id)
        case other:
            raise InvalidRequest(
                f"{field}.role: {other[:40]!r} is unknown; use {', '.join(ROLES)}", param=f"{field}.role"
            )


def refuse_images(images: Iterable[str] | None, model: str, field: str) -> None:
    """Say no to images, in the words that clients look for.

    Raises:
        NotSupported: there are some.
    """
    if images:
        raise NotSupported(f'"{model}" does not support images; send text', param=field)
