"""Large bodies: taken piece by piece as fast as they are used, and never whole in memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from quart import Request, request
from quart.asgi import ASGIHTTPConnection
from quart.wrappers.request import Body
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from hypercorn.typing import ASGIReceiveCallable

# What may wait for its reader; the client is held up by the network's own means beyond that.
BUFFER_BYTES: Final = 1 << 20


class FlowingBody(Body):
    """A body whose sender waits for its reader.

    Quart takes in whatever comes, as fast as it comes, and refuses a large body before anybody has said how it is to
    be read. Here the bound holds for those who want the body whole; who goes through it has his own.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, None)
        self._expected = expected_content_length or 0
        self._bound = max_content_length
        self._whole = False
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until more may come."""
        await self._room.wait()

    def append(self, data: bytes) -> None:
        """Take in what has come."""
        super().append(data)
        if self._whole:
            self._check_bound()
        elif len(self._data) >= BUFFER_BYTES:
            self._room.clear()

    def set_complete(self) -> None:
        """Nothing more comes, so nobody needs to wait for room."""
        super().set_complete()
        self._room.set()

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._room.set()
        return data

    def __await__(self) -> Generator[Any, None, Any]:
        self._whole = True
        self._check_bound()
        self._room.set()
        return super().__await__()

    def _check_bound(self) -> None:
        if self._bound is not None and max(self._expected, len(self._data)) > self._bound:
            self._must_raise = RequestEntityTooLarge()
            self.set_complete()


class FlowingRequest(Request):
    """A request with such a body."""

    body_class = FlowingBody


class FlowingConnection(ASGIHTTPConnection):
    """A connection that reads no further than its request has room."""

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        """Take in the body; return when the client is gone."""
        assert isinstance(request.body, FlowingBody)
        while True:
            await request.body.room()
            message = await receive()
            if message["type"] == "http.request":
                request.body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    request.body.set_complete()
            elif message["type"] == "http.disconnect":
                return


async def drain_body(*, max_bytes: int, stall_s: float | None) -> None:
    """Take in the rest of a body that nobody wants.

    A client that still sends when the connection closes may never see the answer: the system throws it away.
    """
    with contextlib.suppress(RequestEntityTooLarge, RequestTimeout):
        async for _ in body_chunks(max_bytes=max_bytes, stall_s=stall_s):
            pass


async def body_chunks(*, max_bytes: int, stall_s: float | None) -> AsyncIterator[bytes]:
    """The current request's body, piece by piece.

    Raises:
        RequestEntityTooLarge: it is longer than `max_bytes`.
        RequestTimeout: nothing came for `stall_s` seconds.
    """
    if (request.content_length or 0) > max_bytes:
        raise RequestEntityTooLarge
    size = 0
    pieces = aiter(request.body)
    while True:
        try:
            async with asyncio.timeout(stall_s):
                data = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeout from error
        size += len(data)
        if size > max_bytes:
            raise RequestEntityTooLarge
        yield data
