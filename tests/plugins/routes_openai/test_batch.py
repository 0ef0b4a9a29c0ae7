from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hoshikage import Chunk, Done, Started, Usage
from hoshikage.core.errors import QueueFull
from hoshikage.plugins.routes_openai.batch import SIDE_BY_SIDE, merged
from tests.fakes import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import StreamEvent


class Answers:
    """Makes answers, and counts those that run."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.go = asyncio.Event()
        self.go.set()

    async def make(self, *parts: StreamEvent | Exception) -> AsyncGenerator[StreamEvent, None]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for part in parts:
                await self.go.wait()
                await asyncio.sleep(0)
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            self.running -= 1


def end(prompt: int = 1, made: int = 1, *, more: tuple = ()) -> Done:
    return Done("stop", Usage(prompt, made, cached_tokens=prompt, decode_s=0.5), more=more)


async def test_answers_are_numbered_through():
    """The second prompt's answers follow those of the first."""
    answers = Answers()
    made = [
        answers.make(Started(2), Chunk("a"), Chunk("b", index=1), end(more=("length",))),
        answers.make(Started(3), Chunk("c"), Chunk("d", index=1), Done("length", Usage(), more=("stop",))),
    ]
    found = [e async for e in merged(made, answers_each=2)]

    assert {("a", 0), ("b", 1), ("c", 2), ("d", 3)} == {(e.text, e.index) for e in found if isinstance(e, Chunk)}
    assert ("stop", "length", "length", "stop") == found[-1].finish_reasons


async def test_the_beginning_comes_before_every_piece():
    """Whichever prompt is first to begin, nothing is said before the beginning, and it comes once."""
    answers = Answers()
    slow = answers.make(Chunk(""), Started(1), Chunk("slow"), end())
    quick = answers.make(Started(2), Chunk("quick"), end())
    found = [e async for e in merged([slow, quick], answers_each=1) if not (isinstance(e, Chunk) and not e.text)]

    assert [2] == [e.prompt_tokens for e in found if isinstance(e, Started)]
    assert found[0] == Started(2)


async def test_it_begins_once_and_ends_once_with_the_sums():
    """There is one beginning and one end, whose counts are those of all together."""
    answers = Answers()
    found = [e async for e in merged([answers.make(Started(2), end(2, 3)) for _ in range(3)], answers_each=1)]

    assert [Started, Done] == [type(e) for e in found]
    assert Usage(6, 9, cached_tokens=6, decode_s=1.5) == found[-1].usage


async def test_one_prompt_stays_as_it_is():
    """A single answer passes through unchanged."""
    parts = [Started(2), Chunk("a"), end()]

    assert parts == [e async for e in merged([Answers().make(*parts)], answers_each=1)]


async def test_only_so_many_run_side_by_side():
    """The rest waits, so that one request does not take the whole machine; all are answered."""
    answers = Answers()
    found = [e async for e in merged([answers.make(Chunk("a"), end()) for _ in range(9)], answers_each=1)]

    assert SIDE_BY_SIDE == answers.most
    assert set(range(9)) == {e.index for e in found if isinstance(e, Chunk)}


async def test_the_first_error_ends_all():
    """When one prompt fails, the others stop at once and the error is the answer."""
    answers = Answers()
    made = [answers.make(Started(1), *[Chunk("a")] * 1000), answers.make(Started(1), QueueFull("full"))]

    with pytest.raises(QueueFull, match="full"):
        [e async for e in merged(made, answers_each=1)]

    assert 0 == answers.running


async def test_leaving_early_stops_all():
    """A caller who leaves stops every prompt, those that wait too."""
    answers = Answers()
    events = merged([answers.make(Started(1), Chunk("a"), Chunk("b"), end()) for _ in range(6)], answers_each=1)
    async for event in events:
        if isinstance(event, Chunk):
            break
    await events.aclose()

    assert 0 == answers.running


async def test_a_cancelled_reader_stops_all():
    """Cancelling the task that reads ends the prompts as well."""
    answers = Answers()
    answers.go.clear()

    async def read() -> None:
        async for _ in merged([answers.make(Started(1), end()) for _ in range(2)], answers_each=1):
            pass

    task = asyncio.create_task(read())
    await until(lambda: answers.running == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert 0 == answers.running
