"""Frames over the server's end of the socket pair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Channel(asyncio.Protocol):
    """One frame per decode step comes here, so there is no task and no stream between the socket and the listener."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._frames: asyncio.Queue[frames.FromWorker | None] = asyncio.Queue()
        self._listener: Callable[[frames.FromWorker | None], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Wrap a connected socket."""
        end.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_connection(cls, sock=end)
        return channel

    async def send(self, frame: frames.ToWorker) -> None:
        """Send a frame, and wait while the worker is behind. A dead worker is noticed by the listener."""
        self.post(frame)
        await self._writable.wait()

    def post(self, frame: frames.ToWorker) -> None:
        """Send a small frame without waiting, also while the caller is being cancelled."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.pack(frame))

    async def receive(self) -> frames.FromWorker | None:
        """The next frame, as long as nobody listens; `None` once the worker is gone."""
        return await self._frames.get()

    def listen(self, listener: Callable[[frames.FromWorker | None], None]) -> None:
        """Hand every frame from now on to `listener`, and `None` as the last once the worker is gone."""
        while not self._frames.empty():
            listener(self._frames.get_nowait())
        self._listener = listener

    def close(self) -> None:
        """Close our end; the worker ends when it sees that."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Take what has come, and deliver the frames that are whole."""
        self._buffer += data
        while len(self._buffer) >= frames.LENGTH.size:
            (size,) = frames.LENGTH.unpack_from(self._buffer)
            end = frames.LENGTH.size + size
            if len(self._buffer) < end:
                return
            frame = frames.from_worker.decode(memoryview(self._buffer)[frames.LENGTH.size : end].tobytes())
            del self._buffer[:end]
            self._deliver(frame)

    def pause_writing(self) -> None:
        """The worker is behind."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The worker has caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker is gone, or we are."""
        del exc
        self._writable.set()
        self._deliver(None)

    def _deliver(self, frame: frames.FromWorker | None) -> None:
        if self._listener is not None:
            self._listener(frame)
        else:
            self._frames.put_nowait(frame)
