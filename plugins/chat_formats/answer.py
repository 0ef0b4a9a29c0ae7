"""What the parsers of all formats share: thinking, text for the reader, and the pieces handed out."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hoshikage import ToolCallDelta
from hoshikage.plugins.chat_formats.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import ChatRequest
    from hoshikage.plugins.chat_formats.source import Steps

_NAME = re.compile(r"[\w.:/-]{1,128}")


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a parser found in a piece of an answer; see `hoshikage.Parsed`."""

    content: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()


class AnswerParser(ABC):
    """Takes an answer apart: thinking first, then text with calls in it.

    White space around thinking and calls belongs to the format, not to the text: it is held back and dropped. An
    answer without either passes unchanged. A call is announced as soon as its arguments begin; text that turns out
    to be no call before that is content again. Where arguments break off or break later, they stay as they are, and
    what follows is content.

    Attributes:
        thinks: what opens and closes thinking.
        openers: markers that announce calls, wherever they stand.
        bare: whether a call may begin the answer without a marker.
        strangers: whether functions are called that were not offered. They are where a marker says that it is a
            call, as long as the name looks like one; the client can answer that there is no such function.
    """

    thinks: ClassVar[tuple[str, str]] = ("<think>", "</think>")
    openers: ClassVar[tuple[str, ...]] = ()
    bare: ClassVar[bool] = False
    strangers: ClassVar[bool] = True

    def __init__(self, request: ChatRequest, prompt_tail: str) -> None:
        self.source = Source()
        tools = () if request.tool_choice.mode == "none" else request.tools
        self.tools = {tool.name: tool for tool in tools}
        self._prompt_tail = prompt_tail.rstrip()
        self._index = -1
        self._said = _Said()
        self._thought = _Said(trimmed=True)
        self._calls: dict[int, list[str]] = {}
        self._steps = self._whole()

    def push(self, text: str) -> Pieces:
        """Take the next piece, cut anywhere, and return what is certain now."""
        self.source.add(text)
        next(self._steps, None)
        return self._pieces()

    def finish(self) -> Pieces:
        """Return the rest once the answer has ended, wherever that was."""
        self.source.ended = True
        next(self._steps, None)
        if self._index < 0:
            self._said.release()
        return self._pieces()

    def content(self, text: str) -> None:
        """Text for the reader."""
        self._said.trimmed = self._said.trimmed or bool(self._thought.begun or self._index >= 0)
        self._said.add(text, hold=bool(self.tools))

    def reasoning(self, text: str) -> None:
        """Thinking."""
        self._thought.add(text, hold=True)

    def end_reasoning(self) -> None:
        """Close a stretch of thinking; a further one stands apart."""
        self._thought.held = "\n\n" if self._thought.begun else ""

    def is_callable(self, name: str) -> bool:
        """Whether a call of this name is handed out."""
        return name in self.tools or (self.strangers and _NAME.fullmatch(name) is not None)

    def begin_call(self, name: str, call_id: str = "") -> None:
        """Announce a call. There is no way back from here."""
        self.source.forget()
        self._index += 1
        self._calls[self._index] = [call_id, name, ""]

    def arguments(self, text: str) -> None:
        """Add to the arguments of the call announced last."""
        self._calls.setdefault(self._index, ["", "", ""])[2] += text

    @abstractmethod
    def calls(self) -> Steps[bool]:
        """Read what follows an opener, or the answer's beginning; false if no call was announced."""

    def answer(self) -> Steps[None]:
        """Read the whole answer."""
        yield from self._thinking()
        if self.bare and self.tools:
            yield from self._attempt("")
        while opener := (yield from self.source.until(self.openers if self.tools else (), self.content)):
            yield from self._attempt(opener)

    def _attempt(self, opener: str) -> Steps[None]:
        self.source.mark()
        if not (yield from self.calls()):
            self.source.back()
            self.content(opener)
        self.source.forget()

    def _thinking(self) -> Steps[None]:
        opener, closer = self.thinks
        if not self._prompt_tail.endswith(opener):
            self.source.mark()
            yield from self.source.space()
            if not (yield from self.source.one_of(opener)):
                self.source.back()
                return
            self.source.forget()
        yield from self.source.until((closer,), self.reasoning)
        self.end_reasoning()
        self._said.trimmed = True

    def _whole(self) -> Steps[None]:
        yield from self.answer()
        yield from self.source.until((), self.content)

    def _pieces(self) -> Pieces:
        calls = tuple(ToolCallDelta(index, *parts) for index, parts in self._calls.items())
        self._calls.clear()
        return Pieces(self._said.take(), self._thought.take(), calls)


class _Said:
    """Text on its way out.

    Attributes:
        trimmed: white space at its beginning is dropped.
        begun: something was said.
        held: white space that goes out with what follows it.
    """

    def __init__(self, *, trimmed: bool = False) -> None:
        self.trimmed = trimmed
        self.begun = False
        self.held = ""
        self._out: list[str] = []

    def add(self, text: str, *, hold: bool) -> None:
        text = self.held + text
        if self.trimmed and not self.begun:
            text = text.lstrip()
        body = text.rstrip() if hold else text
        self.held = text[len(body) :]
        if body:
            self.begun = True
            self._out.append(body)

    def release(self) -> None:
        if self.begun or not self.trimmed:
            self._out.append(self.held)
        self.held = ""

    def take(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        return text
