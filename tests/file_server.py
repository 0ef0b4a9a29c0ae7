"""A real HTTP server on loopback whose answers and faults a test sets, and which counts what it sends."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message

CHUNK_BYTES = 64 * 1024
STALL_LIMIT_S = 20.0


@dataclass
class Served:
    """What lies under a path.

    Attributes:
        cut_after: close the connection after so many bytes of the body, once for each number.
        hold_after: send so many bytes, then nothing until the server's `release` is set.
        ranges: whether a part may be asked for.
        claimed: the length announced; else the real one; negative: none, and the connection ends with the body.
        statuses: answer these first, one each, before the real one.
    """

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    hold_after: int | None = None
    ranges: bool = True
    claimed: int | None = None
    statuses: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    path: str
    query: str
    headers: Message


class FileServer(ThreadingHTTPServer):
    """Serves `pages`; a function instead of a page is asked for it, with the request."""

    daemon_threads = True
    address_family = 2

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.pages: dict[str, Served | Callable[[Asked], Served]] = {}
        self.asked: list[Asked] = []
        self.sent: dict[str, int] = {}
        self.release = threading.Event()
        self.holding = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[FileServer]:
        """Answer until the end of the block."""
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.release.set()
            self.shutdown()
            self.server_close()
            thread.join()

    def asked_for(self, path: str) -> list[Asked]:
        """The requests for one path."""
        return [asked for asked in self.asked if asked.path == path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = Asked(parts.path, parts.query, self.headers)
        self.server.asked.append(asked)
        page = self.server.pages.get(parts.path, Served(b"not found", 404))
        self._answer(asked, page(asked) if callable(page) else page)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, asked: Asked, page: Served) -> None:
        status = page.statuses.pop(0) if page.statuses else page.status
        body = page.content if status == page.status else b""
        asked_range = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked_range[1]) if asked_range and page.ranges and status == 200 else 0
        length = (page.claimed if page.claimed is not None and body else len(body)) - start
        self.send_response(206 if start else status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
        if length >= 0:
            self.send_header("Content-Length", str(length))
        else:
            self.close_connection = True
        self.end_headers()
        if self.command == "GET":
            self._send(asked.path, body[start:], page)

    def _send(self, path: str, body: bytes, page: Served) -> None:
        cut = page.cut_after.pop(0) if page.cut_after and body else None
        end = min(x for x in (cut, page.hold_after, len(body)) if x is not None)
        for at in range(0, end, CHUNK_BYTES):
            chunk = body[at : min(at + CHUNK_BYTES, end)]
            self.wfile.write(chunk)
            self.server.sent[path] = self.server.sent.get(path, 0) + len(chunk)
        if cut is not None:
            self.close_connection = True
        elif page.hold_after is not None and end < len(body):
            self.server.holding.set()
            self.server.release.wait(STALL_LIMIT_S)
            self._send(path, body[end:], Served())
