"""One worker process, from the server's side: start it, load a model in it, notice its end, end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.errors import ModelLoadFailed
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = structlog.get_logger(__name__)

MODULE = "hoshikage.plugins.engine_llamacpp.worker"
PATIENT = "patient"
STOP_LIMIT_S = 3.0
SAVE_LIMIT_S = 10.0  # a little more than the worker allows itself for saving conversations
STDERR_LINES = 20
SPIN_COUNT = "2000"


class Child:
    """A worker process and the channel to it. Until a model is loaded it belongs to nobody."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.name = "none yet"
        self._process = process
        self._channel = channel
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._closing = False
        self._patience_s = STOP_LIMIT_S
        self._reader = asyncio.create_task(self._read_stderr(), name="stderr of a worker")

    @classmethod
    async def spawn(cls, *, patient: bool = False) -> Child:
        """Start a process; it gets ready by itself and waits for its model.

        Args:
            patient: it lets others compute while it gets ready.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            channel = await Channel.open(ours)  # first, so that there is no process yet if this is cancelled
            try:
                process = await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-m",
                        MODULE,
                        str(theirs.fileno()),
                        str(os.getpid()),
                        *([PATIENT] if patient else []),
                    ),
                    pass_fds=(theirs.fileno(),),
                    env=worker_environment(os.environ),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,  # a Ctrl-C in the terminal is the server's to handle
                )
            except BaseException:
                channel.close()
                raise
        return cls(process, channel)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, as far as known."""
        return self._process.returncode is None and not self._closing

    async def load(self, name: str, init: frames.Init) -> frames.Ready:
        """Load a model; the process serves it from now on.

        Raises:
            ModelLoadFailed: the worker says why, or died while loading.
        """
        self.name = name
        self._patience_s = SAVE_LIMIT_S if init.state is not None else STOP_LIMIT_S
        await self._channel.send(init)
        while True:
            frame = await self._channel.receive()
            match frame:
                case frames.Ready():
                    return frame
                case frames.Failed():
                    raise ModelLoadFailed(f"model {name!r} cannot be loaded: {frame.reason}")
                case frames.Log():
                    self.log(frame)
                case None:
                    raise ModelLoadFailed(f"model {name!r} cannot be loaded: {await self.epitaph()}")

    def listen(self, listener: Callable[[frames.FromWorker | None], None]) -> None:
        """Hand every frame from now on to `listener`, and `None` once the process is gone."""
        self._channel.listen(listener)

    async def send(self, frame: frames.ToWorker) -> None:
        """Send a frame, and wait while the worker is behind."""
        await self._channel.send(frame)

    def post(self, frame: frames.ToWorker) -> None:
        """Send a small frame without waiting."""
        self._channel.post(frame)

    async def close(self) -> None:
        """Stop the process: politely, then by signals. Idempotent."""
        self._closing = True
        self._channel.post(frames.Stop())
        self._channel.close()
        limits = ((None, self._patience_s), (signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, STOP_LIMIT_S))
        for send, limit_s in limits:
            if send is not None and self._process.returncode is None:
                self._process.send_signal(send)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), limit_s)
                break
        await asyncio.gather(self._reader, return_exceptions=True)

    async def epitaph(self) -> str:
        """Say how the process ended, with its last words where it had any."""
        if self._closing:
            return "the model was unloaded"
        try:
            code = await asyncio.wait_for(self._process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        log.error("worker_died", model=self.name, how=how, last_words=list(self._stderr)[-5:])
        words = f": {self._stderr[-1]}" if self._stderr else ""
        return f"the worker process of model {self.name!r} ended by {how}{words}"

    def log(self, frame: frames.Log) -> None:
        """Pass on a line that llama.cpp wrote, or a notice of the worker itself."""
        if frame.level == "info":
            log.warning("worker_notice", model=self.name, text=frame.text)
        else:
            (log.warning if frame.level == "error" else log.debug)("llama_cpp", model=self.name, text=frame.text)

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):  # a line longer than the reader's limit
            async for line in self._process.stderr:
                text = line.decode("utf-8", "replace").rstrip()
                self._stderr.append(text)
                log.debug("worker_stderr", model=self.name, text=text)


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The server's environment, with OpenMP's threads told to sleep sooner at a barrier.

    By default they spin for about a millisecond. Alone on the machine that costs nothing, but as soon as another
    program runs on the same cores, they spin while the thread they wait for has no core to run on. Measured on two
    cores with a second worker beside: 8 tokens per second by default, 43 with this; alone there is no difference.
    What the user has set in the environment wins.
    """
    chosen = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environ.keys()
    spinning = {} if chosen else {"GOMP_SPINCOUNT": SPIN_COUNT}
    # Without this a debugger, where there is one, writes over the assertion that says why a worker died.
    return {"GGML_NO_BACKTRACE": "1", **environ, **spinning}
