from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from hoshikage import Chunk, Done, Started, Usage
from hoshikage.core.errors import EngineFailed, HoshikageError, ServerStopping
from hoshikage.core.http.collected import Collected, CollectedChoice
from hoshikage.core.http.stream import Answer, Streams
from hoshikage.core.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import StreamEvent
    from tests.server import ServerProcess

DONE = Done("stop", Usage())


class Source:
    """Events that a test feeds, and whether their reader has gone."""

    def __init__(self, *events: StreamEvent | Exception) -> None:
        self.events = events
        self.closed = asyncio.Event()

    async def read(self) -> AsyncGenerator[StreamEvent, None]:
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def test_an_answer_gives_its_events_in_order():
    """Events come out as they went in."""
    answer = Answer(Source(Started(1), Chunk("a"), DONE).read())

    assert [await answer.next() for _ in range(3)] == [Started(1), Chunk("a"), DONE]
    await answer.close()


async def test_waiting_for_an_event_can_be_given_up_without_harm():
    """A time-out while waiting loses no event and does not stop the source."""
    source = Source(Started(1))
    answer = Answer(source.read())
    await answer.next()

    with pytest.raises(TimeoutError):
        await answer.next(0.01)

    assert not source.closed.is_set()
    await answer.close()


async def test_closing_an_answer_closes_its_source():
    """The generation ends with its reader."""
    source = Source(Started(1))
    answer = Answer(source.read())
    await answer.next()

    await answer.close()

    assert source.closed.is_set()


async def test_a_known_error_reaches_the_reader():
    """An error of the family comes out as it is."""
    answer = Answer(Source(Chunk("a"), EngineFailed("broken")).read())
    await answer.next()

    with pytest.raises(EngineFailed, match="broken"):
        await answer.next()


async def test_an_unknown_error_is_hidden_from_the_reader():
    """An unexpected exception becomes an internal error that shows nothing of it."""
    answer = Answer(Source(ValueError("secret")).read())

    with pytest.raises(HoshikageError) as caught:
        await answer.next()

    assert "secret" not in caught.value.message


async def test_a_whole_answer_is_collected():
    """Collecting gives all pieces put together and how the answer ended, and leaves nothing active."""
    streams = Streams(ServerSettings())
    source = Source(Started(1), Chunk("a"), Chunk("b"), DONE)

    assert await streams.collect(source.read()) == Collected((CollectedChoice("ab"),), DONE)
    assert source.closed.is_set()
    assert len(streams) == 0


async def test_aborting_all_ends_every_answer_with_an_error():
    """At shutdown each reader gets an error after what it has not read yet."""
    streams = Streams(ServerSettings())
    answers = [streams.open(Source(Chunk("a")).read()) for _ in range(2)]
    await asyncio.gather(*(a.next() for a in answers))

    streams.abort_all()

    for answer in answers:
        with pytest.raises(ServerStopping):
            await answer.next()
        await streams.close(answer)
    assert len(streams) == 0


def test_streams_tell_proxies_not_to_hold_them_back(echo_server: ServerProcess):
    """Every stream carries the headers that switch a proxy's buffering off."""
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/v1/chat/completions", "/api/chat"):
        answer = httpx.post(f"{echo_server.url}{path}", json=body)

        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-cache"
