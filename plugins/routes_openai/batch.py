"""Several prompts of one request, answered side by side as if they were one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

from hoshikage import Chunk, Done, Started, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from hoshikage import StreamEvent

# So many prompts of one request run at once. More would keep the requests of others waiting.
SIDE_BY_SIDE = 4


async def merged(
    answers: Sequence[AsyncGenerator[StreamEvent, None]], *, answers_each: int
) -> AsyncGenerator[StreamEvent, None]:
    """The events of all answers as those of one, whose choices are numbered through.

    The first error ends them all.
    """
    events: asyncio.Queue[tuple[int, StreamEvent | None]] = asyncio.Queue()
    turns = asyncio.Semaphore(SIDE_BY_SIDE)
    tasks = [asyncio.create_task(_read(number, answer, turns, events)) for number, answer in enumerate(answers)]
    ends: dict[int, Done] = {}
    begun = False
    try:
        async for number, event in _until_all_ended(tasks, events):
            match event:
                case Chunk():
                    yield dataclasses.replace(event, index=number * answers_each + event.index)
                case Done():
                    ends[number] = event
                case Started() if not begun:
                    begun = True
                    yield event
        yield _sum([ends[number] for number in range(len(answers))])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_all_ended(
    tasks: Sequence[asyncio.Task[None]], events: asyncio.Queue[tuple[int, StreamEvent | None]]
) -> AsyncGenerator[tuple[int, StreamEvent], None]:
    running = len(tasks)
    while running:
        number, event = await events.get()
        if event is not None:
            yield number, event
        else:
            running -= 1
            await tasks[number]  # it has ended; this raises what it raised


async def _read(
    number: int,
    answer: AsyncGenerator[StreamEvent, None],
    turns: asyncio.Semaphore,
    events: asyncio.Queue[tuple[int, StreamEvent | None]],
) -> None:
    try:
        async with turns, contextlib.aclosing(answer):
            async for event in answer:
                events.put_nowait((number, event))
    finally:
        events.put_nowait((number, None))


def _sum(ends: Sequence[Done]) -> Done:
    first, *more = [reason for end in ends for reason in end.finish_reasons]
    return Done(first, _total([end.usage for end in ends]), more=tuple(more))


def _total(usages: Sequence[Usage]) -> Usage:
    names = [field.name for field in dataclasses.fields(Usage)]
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in names})
