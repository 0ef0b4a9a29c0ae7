"""The load generator: it keeps what arrives with its time and reads it only after the clock has stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
EVENT = b"data: {"
LIMIT_S = 180.0


@dataclass(eq=False)
class Exchange(asyncio.Protocol):
    """One request on a connection of its own, and every packet of the response.

    Attributes:
        packets: when each arrived, and its bytes.
        events: server-sent events so far, the first ones without text included.
        stop_after: cut the connection after so many events; 0 reads to the end.
    """

    request: bytes
    stop_after: int = 0
    packets: list[tuple[float, bytes]] = field(default_factory=list)
    events: int = 0
    began: float = 0.0
    ended: float = 0.0
    cut: bool = False

    def __post_init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._rest = b""
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class does not descend from it
        self.began = time.monotonic()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Keep a packet."""
        self.packets.append((time.monotonic(), data))
        # An event may be cut in two by the packets; the rest is too short to be counted twice.
        seen = self._rest + data
        self.events += seen.count(EVENT)
        self._rest = seen[-len(EVENT) + 1 :]
        self._more.set()
        if self.stop_after and self.events >= self.stop_after:
            self.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, by whoever."""
        self.ended = time.monotonic()
        if self.done.done():
            return
        self._more.set()  # whoever waits for it looks only after `done` is set below
        if exc is not None and not self.cut:
            self.done.set_exception(exc)
        else:
            self.done.set_result(None)

    async def reached(self, events: int) -> None:
        """Wait for so many events, or for the end."""
        while self.events < events and not self.done.done():
            self._more.clear()
            await self._more.wait()

    def cancel(self) -> None:
        """Leave without a word, as a user who closes the page. After the end it does nothing."""
        if self.done.done():
            return
        self.cut = True
        if self.transport is not None:
            self.transport.abort()


def request_bytes(
    url: str, body: dict[str, Any] | None, *, method: str = "POST", headers: Mapping[str, str] = NO_HEADERS
) -> bytes:
    """A request that asks the server to close the connection, so that the end needs no parsing."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n{own}"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def open_exchange(url: str, request: bytes, *, stop_after: int = 0) -> Exchange:
    """Connect and send.

    Raises:
        OSError: nobody listens.
    """
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, exchange = await loop.create_connection(
        lambda: Exchange(request, stop_after), str(parts.hostname), parts.port or 80
    )
    return exchange


@contextlib.asynccontextmanager
async def open_exchanges(url: str, bodies: list[dict[str, Any]]) -> AsyncIterator[list[Exchange]]:
    """Send requests together; those that still run at the end are cut off.

    Raises:
        OSError: a connection failed.
    """
    requests = [request_bytes(url, body) for body in bodies]
    exchanges = await asyncio.gather(*(open_exchange(url, request) for request in requests))
    try:
        yield exchanges
    finally:
        for exchange in exchanges:
            exchange.cancel()
        # Their time of ending is noted when the loop has seen the connection go.
        await asyncio.gather(*(exchange.done for exchange in exchanges), return_exceptions=True)


async def exchange_all(url: str, bodies: list[dict[str, Any]], *, limit_s: float = LIMIT_S) -> list[Exchange]:
    """Send requests together and wait for the end of each.

    Raises:
        TimeoutError: not all were complete in time.
        OSError: a connection failed.
    """
    async with open_exchanges(url, bodies) as exchanges, asyncio.timeout(limit_s):
        await asyncio.gather(*(exchange.done for exchange in exchanges))
    return exchanges


async def fetch(
    url: str, body: dict[str, Any] | None = None, *, limit_s: float = 10.0, headers: Mapping[str, str] = NO_HEADERS
) -> tuple[int, bytes]:
    """One whole response: its status and its body.

    Raises:
        TimeoutError: it was not complete in time.
        OSError: the connection failed, or what came is no response.
    """
    request = request_bytes(url, body, method="GET" if body is None else "POST", headers=headers)
    async with asyncio.timeout(limit_s):
        exchange = await open_exchange(url, request)
        try:
            await exchange.done
        finally:
            exchange.cancel()
    status, _, content = split_response(b"".join(data for _, data in exchange.packets))
    return status, content


def split_response(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, chunks put together.

    Raises:
        OSError: it is no response.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[1].isdecimal():
        raise OSError(f"the server closed the connection without a response ({data[:40]!r})")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join(chunk for _, chunk in chunks(body))
    return int(words[1]), headers, body


def chunks(body: bytes) -> list[tuple[int, bytes]]:
    """The chunks of a chunked body, each with the place in the body where it is complete."""
    found: list[tuple[int, bytes]] = []
    place = 0
    while (end := body.find(b"\r\n", place)) >= 0:
        size = int(body[place:end].split(b";")[0] or b"0", 16)
        if size == 0 or len(body) < end + 2 + size:
            break
        found.append((end + 2 + size, body[end + 2 : end + 2 + size]))
        place = end + 4 + size
    return found
