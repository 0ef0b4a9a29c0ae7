"""The worker's end of the socket pair: whole frames in, whole frames out."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    import socket

READ_BYTES = 1 << 20


class Connection:
    """The worker's end of the socket pair."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket
        self._buffer = bytearray()
        self.closed = False

    def send(self, frame: frames.FromWorker) -> None:
        """Send one frame; waits while the server does not read."""
        try:
            self._socket.sendall(frames.pack(frame))
        except OSError:
            self.closed = True

    def receive(self, *, wait: bool) -> list[frames.ToWorker]:
        """Take the frames that have come; with `wait`, at least one unless the server is gone."""
        received: list[frames.ToWorker] = []
        while not received and not self.closed:
            readable, _, _ = select.select([self._socket], [], [], None if wait else 0)
            if not readable:
                break
            try:
                data = self._socket.recv(READ_BYTES)
            except OSError:  # the server went away without reading what it was sent
                data = b""
            self.closed = not data
            self._buffer += data
            received.extend(self._whole_frames())
        return received

    def _whole_frames(self) -> list[frames.ToWorker]:
        found = []
        while len(self._buffer) >= frames.LENGTH.size:
            (size,) = frames.LENGTH.unpack_from(self._buffer)
            end = frames.LENGTH.size + size
            if len(self._buffer) < end:
                break
            found.append(frames.to_worker.decode(memoryview(self._buffer)[frames.LENGTH.size : end].tobytes()))
            del self._buffer[:end]
        return found
