"""The worker's end of the socket pair: whole frames in, whole frames out."""

from __future__ import annotations

import queue
import select
import threading
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    import socket

READ_BYTES = 1 << 20
MAX_UNSENT = 256  # frames


class Connection:
    """The worker's end of the socket pair."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket
        self._buffer = bytearray()
        self._outgoing: queue.Queue[bytes | None] = queue.Queue(MAX_UNSENT)
        self._sender = threading.Thread(target=self._send_all, name="sender", daemon=True)
        self._sender.start()
        self.closed = False

    def send(self, frame: frames.FromWorker) -> None:
        """Send one frame, after those before it; waits while the server does not read for long.

        A thread of its own writes to the socket. The kernel expects of whoever wakes another process by a socket that
        it will sleep next, and lets the other one run on its processor: the server's work would stand between two
        steps of the loop, while the other processors wait. So it runs beside the next step.
        """
        if not self.closed:
            self._outgoing.put(frames.pack(frame))

    def close(self) -> None:
        """Send what is still unsent; nothing can be sent afterwards. Idempotent."""
        if self._sender.is_alive():
            self._outgoing.put(None)
            self._sender.join()

    def _send_all(self) -> None:
        while (data := self._outgoing.get()) is not None:
            if self.closed:
                continue  # keeps a waiting `send` from waiting for ever
            try:
                self._socket.sendall(data)
            except OSError:
                self.closed = True

    def receive(self, *, wait: bool, limit_s: float | None = None) -> list[frames.ToWorker]:
        """Take the frames that have come; with `wait`, at least one unless the server is gone or the limit passes."""
        received: list[frames.ToWorker] = []
        while not received and not self.closed:
            readable, _, _ = select.select([self._socket], [], [], limit_s if wait else 0)
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
