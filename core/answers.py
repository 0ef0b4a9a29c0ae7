"""Taking answers apart, while they come, into text, thinking and tool calls."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.contracts import Chunk, Done, Started, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.contracts import ChatFormat, ChatRequest, FinishReason, FormatParser, Parsed, StreamEvent, Usage

log = structlog.get_logger(__name__)

CALL_ID_LENGTH = 24


class AnswerReader:
    """Reads the events of one request and gives those that the caller gets.

    Each of the request's answers has a parser of its own. A parser that raises is logged with its format's name; from
    there on its answer comes as the model writes it.
    """

    def __init__(self, request: ChatRequest, chat_format: ChatFormat) -> None:
        self._request = request
        self._format = chat_format
        self._prompt_tail = ""
        self._choices: dict[int, _Choice] = {}

    def read(self, event: StreamEvent) -> Sequence[StreamEvent]:
        """What the caller gets for an event: exactly one chunk for each, and the rest of each answer before `Done`."""
        match event:
            case Started():
                self._prompt_tail = event.prompt_tail
                return (event,)
            case Chunk():
                return (self._choice(event.index).read(event),)
            case Done():
                return self._finish(event)

    def _finish(self, done: Done) -> list[StreamEvent]:
        choices = [self._choice(index) for index in range(len(done.finish_reasons))]
        rest = [chunk for index, choice in enumerate(choices) if (chunk := choice.finish(index)) is not None]
        reasons = [c.finish_reason(reason) for c, reason in zip(choices, done.finish_reasons, strict=True)]
        usage = _with_reasoning(done.usage, sum(choice.reasoning_tokens for choice in choices))
        return [*rest, replace(done, finish_reason=reasons[0], more=tuple(reasons[1:]), usage=usage)]

    def _choice(self, index: int) -> _Choice:
        if index not in self._choices:
            parser = _GuardedParser(self._format, self._request, self._prompt_tail)
            self._choices[index] = _Choice(parser, all_calls=self._request.parallel_tool_calls)
        return self._choices[index]


@dataclass(slots=True)
class _Choice:
    """One of the answers.

    Attributes:
        all_calls: whether calls after the first are passed on.
        called: the calls that were begun.
        reasoning_tokens: tokens that brought thinking.
        undecided: tokens since, of which no text has come out yet.
    """

    parser: _GuardedParser
    all_calls: bool
    called: set[int] = field(default_factory=set)
    reasoning_tokens: int = 0
    undecided: int = 0

    def read(self, chunk: Chunk) -> Chunk:
        parsed = self.parser.push(chunk.text)
        self._count(parsed, chunk.tokens)
        return Chunk(
            parsed.content, chunk.tokens, chunk.index, parsed.reasoning, self._calls(parsed.tool_calls), chunk.logprobs
        )

    def finish(self, index: int) -> Chunk | None:
        parsed = self.parser.finish()
        self._count(parsed, 0)
        calls = self._calls(parsed.tool_calls)
        if not (parsed.content or parsed.reasoning or calls):
            return None
        return Chunk(parsed.content, tokens=0, index=index, reasoning=parsed.reasoning, tool_calls=calls)

    def finish_reason(self, reason: FinishReason) -> FinishReason:
        return "tool_calls" if self.called and reason == "stop" else reason

    def _count(self, parsed: Parsed, tokens: int) -> None:
        """Count thinking; what a parser holds back counts for whatever comes out of it in the end."""
        self.undecided += tokens
        if parsed.reasoning:
            self.reasoning_tokens += self.undecided
        if parsed.reasoning or parsed.content or parsed.tool_calls:
            self.undecided = 0

    def _calls(self, deltas: Sequence[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
        return tuple(self._identified(delta) for delta in deltas if self.all_calls or delta.index == 0)

    def _identified(self, delta: ToolCallDelta) -> ToolCallDelta:
        """The delta, with an id of our own where it begins a call to which the model gave none."""
        if delta.index in self.called:
            return delta
        self.called.add(delta.index)
        return delta if delta.id else replace(delta, id=f"call_{uuid.uuid4().hex[:CALL_ID_LENGTH]}")


@dataclass(frozen=True, slots=True)
class _Plain:
    """Text that nobody has taken apart."""

    content: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()


class _GuardedParser:
    """A format's parser, which may be a third party's code."""

    def __init__(self, chat_format: ChatFormat, request: ChatRequest, prompt_tail: str) -> None:
        self._name = chat_format.name
        self._parser: FormatParser | None = None
        try:
            self._parser = chat_format.parser(request, prompt_tail)
        except Exception:
            log.exception("chat_format_failed", chat_format=self._name)

    def push(self, text: str) -> Parsed:
        if self._parser is not None:
            try:
                return self._parser.push(text)
            except Exception:
                log.exception("chat_format_failed", chat_format=self._name)
                self._parser = None
        return _Plain(text)

    def finish(self) -> Parsed:
        if self._parser is not None:
            try:
                return self._parser.finish()
            except Exception:
                log.exception("chat_format_failed", chat_format=self._name)
                self._parser = None
        return _Plain()


def _with_reasoning(usage: Usage, tokens: int) -> Usage:
    """The usage, with our own count where the engine does not count thinking."""
    return usage if usage.reasoning_tokens else replace(usage, reasoning_tokens=tokens)
