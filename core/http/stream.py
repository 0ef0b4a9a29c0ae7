"""Answering with a stream: status codes for early failures, signs of life, and an end to stalled clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import structlog
from quart import Response, current_app

from hoshikage.core.contracts import Chunk, Done
from hoshikage.core.errors import HoshikageError, ServerStopping
from hoshikage.core.http.collected import Collector

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

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
        self._unread: deque[StreamEvent | HoshikageError] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._read(events))

    async def next(self, limit_s: float | None = None) -> StreamEvent:
        """The next event.

        Raises:
            TimeoutError: none came within the limit.
            HoshikageError: the answer failed.
        """
        if not self._unread:
            await self._wait(limit_s)
        event = self._unread.popleft()
        if isinstance(event, HoshikageError):
            raise event
        return event

    def fail(self, error: HoshikageError) -> None:
        """Let the reader find this error after what it has not read yet."""
        self._put(error)

    async def close(self) -> None:
        """Stop the generation, if it still runs."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, events: AsyncGenerator[StreamEvent, None]) -> None:
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self._put(event)
        except HoshikageError as error:
            self.fail(error)
        except Exception:
            log.exception("answer_failed")
            self.fail(HoshikageError("internal error; the server's log has the details under this request id"))

    def _put(self, event: StreamEvent | HoshikageError) -> None:
        self._unread.append(event)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def _wait(self, limit_s: float | None) -> None:
        """Wait for an event. This is done for each token; a queue and a scope of time cost several times as much."""
        loop = asyncio.get_running_loop()
        self._arrival = loop.create_future()
        timer = None if limit_s is None else loop.call_later(limit_s, _give_up, self._arrival)
        try:
            await self._arrival
        finally:
            if timer is not None:
                timer.cancel()


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
        patience = _Patience(self._settings.stall_timeout_s)
        data, last = (b"", False) if first is None else (encoder.encode(first), isinstance(first, Done))
        try:
            while True:
                if data:
                    patience.begin()
                    yield data
                    patience.end()
                if last:
                    return
                data, last = await self._piece(answer, encoder)
        finally:
            patience.close()
            await self.close(answer)

    async def _piece(self, answer: Answer, encoder: StreamEncoder) -> tuple[bytes, bool]:
        """The next bytes to send, and whether they are the last."""
        try:
            event = await answer.next(self._settings.heartbeat_s)
        except TimeoutError:
            return encoder.heartbeat(), False
        except HoshikageError as error:
            return encoder.failure(error), True
        return encoder.encode(event), isinstance(event, Done)


class _Patience:
    """Cuts off a client that has read nothing for too long, by cancelling the task that made this.

    While a `yield` is not resumed, the server waits for the client to take what was sent. There is no time-out in
    Hypercorn for that which would not cut slow answers too. One timer looks now and then, as one for each token would
    cost more than sending it.
    """

    def __init__(self, limit_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer = self._loop.call_later(limit_s, self._look)

    def begin(self) -> None:
        """The client is given something to read."""
        self._since = self._loop.time()

    def end(self) -> None:
        """It has read that."""
        self._since = None

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        waited_s = 0.0 if self._since is None else self._loop.time() - self._since
        if waited_s < self._limit_s:
            self._timer = self._loop.call_later(self._limit_s - waited_s, self._look)
        else:
            log.warning("client_stalled", limit_s=self._limit_s)
            self._task.cancel()


def _give_up(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_exception(TimeoutError())


def streams() -> Streams:
    """The current application's streams."""
    return streams_of(current_app)


def streams_of(app: Quart) -> Streams:
    """An application's streams."""
    return cast("Streams", app.extensions[EXTENSION])
