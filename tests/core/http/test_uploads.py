"""Large bodies: the sender waits for the reader, and bounds hold however a body is read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from quart import Quart

from hoshikage.core.http.uploads import BUFFER_BYTES, FlowingBody, FlowingConnection, FlowingRequest, body_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE = 256 * 1024
PIECES = 40
LIMIT_S = 10.0


class Sender:
    """A client of ASGI that notes how far it was asked for its body."""

    def __init__(self, pieces: int, *, ends: bool = True, length: int | None = None) -> None:
        self.sent = 0
        self.gone = asyncio.Event()
        self.answer: list[dict[str, Any]] = []
        self._pieces = pieces
        self._ends = ends
        headers = [(b"host", b"x")] + ([(b"content-length", str(length).encode())] if length is not None else [])
        self.scope: Any = {
            "type": "http", "method": "POST", "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"",
            "headers": headers, "http_version": "1.1", "root_path": "", "client": None, "server": None,
            "extensions": {}, "asgi": {"version": "3.0"}, "state": {},
        }  # fmt: skip

    async def receive(self) -> Any:
        await asyncio.sleep(0)  # others have their turn, as they do on a network
        if self.sent < self._pieces:
            self.sent += 1
            more = self.sent < self._pieces or not self._ends
            return {"type": "http.request", "body": bytes(PIECE), "more_body": more}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.answer.append(message)

    @property
    def status(self) -> int:
        return int(self.answer[0]["status"])


@pytest.fixture
def app() -> Quart:
    """An application with such connections, and a small bound for bodies that are read whole."""
    app = Quart(__name__)
    app.request_class, app.asgi_http_class = FlowingRequest, FlowingConnection
    app.config["MAX_CONTENT_LENGTH"] = 4 * PIECE
    return app


async def serve(app: Quart, sender: Sender) -> None:
    async with asyncio.timeout(LIMIT_S):
        await app(sender.scope, sender.receive, sender.send)


async def test_sender_waits_for_the_reader(app: Quart):
    """While nobody reads, no more than the buffer is taken in; then everything comes, none of it lost."""
    seen, total, go_on = asyncio.Event(), [], asyncio.Event()

    @app.post("/")
    async def take() -> str:
        seen.set()
        await go_on.wait()
        total.extend([len(data) async for data in body_chunks(max_bytes=PIECE * PIECES, stall_s=LIMIT_S)])
        return ""

    sender = Sender(PIECES)
    serving = asyncio.create_task(serve(app, sender))
    await seen.wait()
    for _ in range(100):  # every chance to take in more
        await asyncio.sleep(0)
    held_up = sender.sent
    go_on.set()
    await serving

    assert BUFFER_BYTES // PIECE == held_up
    assert (PIECE * PIECES, 200) == (sum(total), sender.status)
    assert max(total) <= 2 * BUFFER_BYTES


@pytest.mark.parametrize("length", [None, PIECE * 5])
async def test_bodies_that_are_read_whole_have_a_bound(app: Quart, length: int | None):
    """As before, whether the client says the length or not; what is too long is not all taken in."""
    from quart import request

    @app.post("/")
    async def take() -> str:
        return str(len(await request.get_data()))

    sender = Sender(PIECES, length=length)
    await serve(app, sender)

    assert 413 == sender.status
    assert sender.sent < PIECES


async def test_bodies_within_the_bound_are_read_whole(app: Quart):
    """Also those that just fit, read before or after they have come."""
    from quart import request

    @app.post("/")
    async def take() -> str:
        return str(len(await request.get_data()))

    sender = Sender(4)
    await serve(app, sender)

    assert str(4 * PIECE).encode() == sender.answer[1]["body"]


@pytest.mark.parametrize("length", [None, PIECE * PIECES])
async def test_pieces_have_a_bound_of_their_own(app: Quart, length: int | None):
    """What is longer is a 413."""

    @app.post("/")
    async def take() -> str:
        return str([1 async for _ in body_chunks(max_bytes=PIECE * 10, stall_s=LIMIT_S)])

    sender = Sender(PIECES, length=length)
    await serve(app, sender)

    assert 413 == sender.status
    assert sender.sent <= 16


async def test_sender_that_stops_is_given_up(app: Quart):
    """Nothing for too long is a 408, however long the whole may take."""

    @app.post("/")
    async def take() -> str:
        return str([1 async for _ in body_chunks(max_bytes=PIECE * 10, stall_s=0.05)])

    sender = Sender(2, ends=False)
    await serve(app, sender)

    assert 408 == sender.status


async def test_sender_that_leaves_ends_the_reading(app: Quart):
    """The reader is cancelled, so that it can clean up."""
    cancelled = asyncio.Event()

    @app.post("/")
    async def take() -> str:
        try:
            async for _ in body_chunks(max_bytes=PIECE * 10, stall_s=None):
                sender.gone.set()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    sender = Sender(2, ends=False)
    await serve(app, sender)

    assert cancelled.is_set()


async def test_body_that_nobody_reads_does_not_hold_up_the_answer(app: Quart):
    """A refusal comes at once, however much is still to come."""

    @app.post("/")
    async def refuse() -> tuple[str, int]:
        return "no", 404

    sender = Sender(PIECES)
    await serve(app, sender)

    assert 404 == sender.status
    assert sender.sent <= BUFFER_BYTES // PIECE + 1


async def test_empty_body_has_no_pieces():
    """It ends at once."""
    body = FlowingBody(0, None)
    body.set_complete()

    async def pieces() -> AsyncIterator[bytes]:
        async for data in body:
            yield data

    assert [] == [data async for data in pieces()]
