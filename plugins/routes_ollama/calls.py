"""Tool calls as Ollama writes them: each in one piece, its arguments an object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hoshikage import ToolCallDelta


@dataclass(slots=True)
class OpenCall:
    """A call, as far as it has come."""

    index: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any] | None:
        """The finished call; `None` where its arguments are no JSON object."""
        try:
            arguments = orjson.loads("".join(self.arguments) or "{}")
        except orjson.JSONDecodeError:
            return None
        if not isinstance(arguments, dict):
            return None
        return {"id": self.id, "function": {"index": self.index, "name": self.name, "arguments": arguments}}

    def text(self) -> str:
        """The call as a model writes it, for one that cannot be read: cut off, or no JSON."""
        return f'{{"name": {orjson.dumps(self.name).decode()}, "arguments": {"".join(self.arguments)}'


@dataclass(frozen=True, slots=True)
class Finished:
    """Calls that are complete.

    Attributes:
        rows: those that can be read.
        text: those that cannot: the reader shall see what the model meant to do.
    """

    rows: tuple[dict[str, Any], ...] = ()
    text: str = ""


class CallCollector:
    """Puts calls together from what is added to them."""

    def __init__(self) -> None:
        self._open: dict[int, OpenCall] = {}

    def add(self, deltas: Iterable[ToolCallDelta]) -> Finished:
        """Take additions, and give what they complete: a call ends where the next one begins."""
        done: list[OpenCall] = []
        for delta in deltas:
            if delta.index not in self._open:
                done += self._open.values()
                self._open = {delta.index: OpenCall(delta.index, delta.id, delta.name)}
            self._open[delta.index].arguments.append(delta.arguments)
        return finished(done)

    def end(self) -> Finished:
        """Give what is left once the answer has ended."""
        done, self._open = list(self._open.values()), {}
        return finished(done)


def finished(calls: Iterable[OpenCall]) -> Finished:
    """Calls to which nothing is added any more."""
    rows = [(call, call.row()) for call in calls]
    unreadable = "\n".join(call.text() for call, row in rows if row is None)
    return Finished(tuple(row for _, row in rows if row is not None), unreadable)
