"""A whole answer, put together from the pieces that it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage.core.contracts import ToolCall

if TYPE_CHECKING:
    from hoshikage.core.contracts import Chunk, Done, TokenLogprob, ToolCallDelta


@dataclass(frozen=True, slots=True)
class CollectedChoice:
    """One of the `n` answers to a request."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """All answers to a request.

    Attributes:
        choices: one per answer, by index; an answer that is empty has one too.
        done: how they ended.
    """

    choices: tuple[CollectedChoice, ...]
    done: Done


class Collector:
    """Takes the pieces of all answers, in whatever order they come."""

    def __init__(self) -> None:
        self._choices: dict[int, _Pieces] = {}

    def add(self, chunk: Chunk) -> None:
        """Take one piece."""
        self._choices.setdefault(chunk.index, _Pieces()).add(chunk)

    def finish(self, done: Done) -> Collected:
        """The answers, once there are no more pieces."""
        nothing = _Pieces()
        count = len(done.finish_reasons)
        return Collected(tuple(self._choices.get(i, nothing).choice() for i in range(count)), done)


@dataclass(slots=True)
class _Pieces:
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, list[ToolCallDelta]] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        self.text.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        self.logprobs.extend(chunk.logprobs)
        for delta in chunk.tool_calls:
            self.calls.setdefault(delta.index, []).append(delta)

    def choice(self) -> CollectedChoice:
        calls = tuple(_joined(self.calls[index]) for index in sorted(self.calls))
        return CollectedChoice("".join(self.text), "".join(self.reasoning), calls, tuple(self.logprobs))


def _joined(deltas: list[ToolCallDelta]) -> ToolCall:
    first = deltas[0]
    return ToolCall(first.id, first.name, "".join(d.arguments for d in deltas) or "{}")
