"""What callers wait for: a stream of text, or one result. Each can be sent again to another worker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from hoshikage import HoshikageError

Result = frames.Embedded | frames.Scored | frames.Tokenized | frames.Detokenized | frames.Extended
Question = frames.Embed | frames.Rerank | frames.Tokenize | frames.Detokenize | frames.Extend


@dataclass(slots=True, eq=False)
class Stream:
    """A request for text, with what was said so far.

    Attributes:
        deaths: workers that died while they computed it.
        so_far: the tokens of each answer; `None` once it is complete.
    """

    first: frames.Generate
    events: asyncio.Queue[frames.Begun | frames.Delta | HoshikageError] = field(default_factory=asyncio.Queue)
    so_far: list[list[int] | None] = field(default_factory=list)
    deaths: int = 0
    begun: bool = False

    def __post_init__(self) -> None:
        self.so_far = [[] for _ in range(self.first.n)]

    def frame(self) -> frames.Generate:
        """What a worker is to be sent now."""
        if not self.begun:
            return self.first
        # A copy, as the lists grow while the frame waits.
        so_far = [None if tokens is None else list(tokens) for tokens in self.so_far]
        return msgspec.structs.replace(self.first, so_far=so_far)

    def take(self, frame: frames.Begun | frames.Delta) -> None:
        """Hand on what a worker says; that it has begun is said once."""
        if isinstance(frame, frames.Delta):
            said = self.so_far[frame.index]
            if frame.finish is not None:
                self.so_far[frame.index] = None
            elif said is not None:
                said += frame.tokens
        elif self.begun:
            return
        self.begun = True
        self.events.put_nowait(frame)

    def fail(self, error: HoshikageError) -> None:
        """End it."""
        self.events.put_nowait(error)


@dataclass(slots=True, eq=False)
class Call:
    """A question with one answer."""

    question: Question
    result: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    deaths: int = 0

    def frame(self) -> Question:
        """What a worker is to be sent."""
        return self.question

    def take(self, frame: Result) -> None:
        """Hand on the answer."""
        if not self.result.done():
            self.result.set_result(frame)

    def fail(self, error: HoshikageError) -> None:
        """End it."""
        if not self.result.done():
            self.result.set_exception(error)


Job = Stream | Call
