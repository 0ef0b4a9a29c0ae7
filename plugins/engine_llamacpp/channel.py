"""Frames over the server's end of the socket pair."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    import socket


class Channel:
    """Frames over the server's end of the socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Wrap a connected socket."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end))

    async def send(self, frame: frames.ToWorker) -> None:
        """Send a frame, and wait while the worker is behind. A dead worker is noticed by the reader."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(frames.pack(frame))
            await self._writer.drain()

    def post(self, frame: frames.ToWorker) -> None:
        """Send a small frame without waiting, also while the caller is being cancelled."""
        if not self._writer.is_closing():
            self._writer.write(frames.pack(frame))

    async def receive(self) -> frames.FromWorker | None:
        """The next frame; `None` once the worker is gone."""
        try:
            (size,) = frames.LENGTH.unpack(await self._reader.readexactly(frames.LENGTH.size))
            return frames.from_worker.decode(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Close our end; the worker ends when it sees that."""
        self._writer.close()
