"""Answering with a stream: status codes for early failures, signs of life, and an end to stalled clients."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol, cast

import structlog
from quart import Response, current_app

from hoshikage.core.contracts import Chunk, Done
from hoshikage.core.errors import HoshikageError, ServerStopping
from hoshikage.core.http.collected import Collector

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from quart import Quart

    from hoshikage.core.contracts import StreamEvent
    from hoshikage.core.http.collected import Collected
    from hoshikage.core.settings import ServerSettings

log = structlog.get_logger(__name__)

EXTENSION = "hoshikage.streams"
# Proxies must pass each event on at once; Nginx does so for this header even where it buffers by default.
STREAM_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache"}


class StreamEncoder(Protocol):
    """How one protocol writes a stream."""

    content_type: str

    def encode(self, event: StreamEvent) -> bytes:
        """The bytes for an event; nothing where the protocol has none for it."""
        ...

    def heartbeat(self) -> bytes:
        """A sign of life that clients of the protocol ignore."""
        ...

    def failure(self, error: HoshikageError) -> bytes:
        """The last bytes of a stream that fails after it began."""
        ...


class Answer:
    """The events of one answer, read ahead by a task of its own, so that waiting for one can be given up.

    Use it as an async context manager; leaving it cancels the generation.
    """

    def __init__(self, events: AsyncGenerator[StreamEvent, None]) -> None:
        self._queue: asyncio.Queue[StreamEvent | HoshikageError] = asyncio.Queue()
        self._task = asyncio.create_task(self._read(events))

    async def next(self, limit_s: float | None = None) -> StreamEvent:
        """The next event.

        Raises:
            TimeoutError: none came within the limit.
            HoshikageError: the answer failed.
        """
        async with asyncio.timeout(limit_s):
            event = await self._queue.get()
        if isinstance(event, HoshikageError):
            raise event
        return event

    def fail(self, error: HoshikageError) -> None:
        """Let the reader find this error after what it has not read yet."""
        self._queue.put_nowait(error)

    async def close(self) -> None:
        """Stop the generation, if it still runs."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, events: AsyncGenerator[StreamEvent, None]) -> None:
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self._queue.put_nowait(event)
        except HoshikageError as error:
            self.fail(error)
        except Exception:
            log.exception("answer_failed")
            self.fail(HoshikageError("internal error; the server's log has the details under this request id"))


class Streams:
    """All answers under way; one per web application."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._active: set[Answer] = set()

    def __len__(self) -> int:
        return len(self._active)

    def abort_all(self) -> None:
        """End every answer under way with an error that its client can read."""
        for answer in self._active:
            answer.fail(ServerStopping("the server is shutting down; try again in a moment", retry_after_s=5))

    async def collect(self, events: AsyncGenerator[StreamEvent, None]) -> Collected:
        """Wait for a whole answer."""
        answer = self.open(events)
        collector = Collector()
        try:
            while not isinstance(event := await answer.next(), Done):
                if isinstance(event, Chunk):
                    collector.add(event)
        finally:
            await self.close(answer)
        return collector.finish(event)

    def open(self, events: AsyncGenerator[StreamEvent, None]) -> Answer:
        """Begin to read an answer."""
        answer = Answer(events)
        self._active.add(answer)
        return answer

    async def close(self, answer: Answer) -> None:
        """End an answer. Idempotent."""
        self._active.discard(answer)
        await answer.close()

    async def respond(self, events: AsyncGenerator[StreamEvent, None], encoder: StreamEncoder) -> Response:
        """Stream an answer.

        The headers wait for the first event, but no longer than `server.header_grace_s`: so an error that comes
        early keeps its status code, and a slow load still shows the client that somebody is there.
        """
        answer = self.open(events)
        first: StreamEvent | None = None
        try:
            with contextlib.suppress(TimeoutError):
                first = await answer.next(self._settings.header_grace_s)
        except BaseException:
            await self.close(answer)
            raise
        response = Response(
            self._body(answer, first, encoder), content_type=encoder.content_type, headers=STREAM_HEADERS
        )
        response.timeout = None  # Quart would cut the stream after a minute
        return response

    async def _body(
        self, answer: Answer, first: StreamEvent | None, encoder: StreamEncoder
    ) -> AsyncGenerator[bytes, None]:
        try:
            async for data, last in self._pieces(answer, first, encoder):
                if data:
                    with self._stall_limit():
                        yield data
                if last:
                    return
        finally:
            await self.close(answer)

    async def _pieces(
        self, answer: Answer, first: StreamEvent | None, encoder: StreamEncoder
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        if first is not None:
            yield encoder.encode(first), isinstance(first, Done)
        while True:
            try:
                event = await answer.next(self._settings.heartbeat_s)
            except TimeoutError:
                yield encoder.heartbeat(), False
            except HoshikageError as error:
                yield encoder.failure(error), True
            else:
                yield encoder.encode(event), isinstance(event, Done)

    @contextlib.contextmanager
    def _stall_limit(self) -> Iterator[None]:
        """Cut off a client that has read nothing for too long.

        While a `yield` is not resumed, the server waits for the client to take what was sent. There is no
        time-out in Hypercorn for that which would not cut slow answers too.
        """
        task = asyncio.current_task()
        assert task is not None

        def cut_off() -> None:
            log.warning("client_stalled", limit_s=self._settings.stall_timeout_s)
            task.cancel()

        timer = asyncio.get_running_loop().call_later(self._settings.stall_timeout_s, cut_off)
        try:
            yield
        finally:
            timer.cancel()


def streams() -> Streams:
    """The current application's streams."""
    return streams_of(current_app)


def streams_of(app: Quart) -> Streams:
    """An application's streams."""
    return cast("Streams", app.extensions[EXTENSION])
