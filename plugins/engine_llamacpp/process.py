"""The server's side of a worker process: start it, talk to it, notice its end, end it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING

import structlog

from hoshikage import Chunk, Done, HoshikageError, Started, Usage
from hoshikage.core.errors import (
    ContextOverflow,
    EngineFailed,
    InvalidRequest,
    ModelLoadFailed,
    WorkerDied,
)
from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from hoshikage import ChatRequest, StreamEvent

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 3.0
STDERR_LINES = 20
SPIN_COUNT = "2000"


class LlamaCppModel:
    """A loaded model in its worker process; implements `LoadedModel`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self._name = name
        self._process = process
        self._channel = channel
        self._ready = frames.Ready(0, 0)
        self._ids = itertools.count(1)
        self._streams: dict[int, asyncio.Queue[StreamEvent | HoshikageError]] = {}
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._closing = False
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._read_stderr(), name=f"stderr of {name}")]

    @classmethod
    async def start(cls, name: str, init: frames.Init) -> LlamaCppModel:
        """Start a worker and let it load the model.

        Raises:
            ModelLoadFailed: the worker says why, or died while loading.
        """
        ours, theirs = socket.socketpair()
        module = "hoshikage.plugins.engine_llamacpp.worker"
        with theirs:
            channel = await Channel.open(ours)  # first, so that there is no process yet if this is cancelled
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())),
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
        model = cls(name, process, channel)
        try:
            await model._load(init)
        except BaseException:
            await model.close()
            raise
        return model

    @property
    def context_length(self) -> int:
        """Tokens that all callers share."""
        return self._ready.n_ctx

    @property
    def size_bytes(self) -> int:
        """Weights and KV cache."""
        return self._ready.size_bytes

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._process.pid

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `LoadedModel.generate`."""
        if self._end.done():
            raise WorkerDied(self._end.result())
        number = next(self._ids)
        events: asyncio.Queue[StreamEvent | HoshikageError] = asyncio.Queue()
        self._streams[number] = events
        try:
            await self._channel.send(generate_frame(number, request))
            while True:
                event = await events.get()
                if isinstance(event, HoshikageError):
                    raise event
                yield event
                if isinstance(event, Done):
                    return
        finally:
            if self._streams.pop(number, None) is not None:
                self._channel.post(frames.Cancel(number))

    async def wait_closed(self) -> str:
        """See `LoadedModel.wait_closed`."""
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        """Stop the worker: politely, then by signals."""
        self._closing = True
        self._channel.post(frames.Stop())
        self._channel.close()
        for send in (None, signal.SIGTERM, signal.SIGKILL):
            if send is not None and self._process.returncode is None:
                self._process.send_signal(send)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_LIMIT_S)
                break
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._finish("the model was unloaded")

    async def _load(self, init: frames.Init) -> None:
        await self._channel.send(init)
        while True:
            frame = await self._channel.receive()
            match frame:
                case frames.Ready():
                    self._ready = frame
                    self._tasks.append(asyncio.create_task(self._read_frames(), name=f"frames of {self._name}"))
                    return
                case frames.Failed():
                    raise ModelLoadFailed(f"model {self._name!r} cannot be loaded: {frame.reason}")
                case frames.Log():
                    self._log(frame)
                case None:
                    raise ModelLoadFailed(f"model {self._name!r} cannot be loaded: {await self._epitaph()}")

    async def _read_frames(self) -> None:
        while (frame := await self._channel.receive()) is not None:
            self._dispatch(frame)
        self._finish(await self._epitaph())

    def _dispatch(self, frame: frames.FromWorker) -> None:
        match frame:
            case frames.Step():
                for delta in frame.deltas:
                    self._deliver(delta)
            case frames.Begun():
                self._put(frame.id, Started(frame.prompt_tokens))
            case frames.Refused():
                self._put(frame.id, error_of(frame))
                self._streams.pop(frame.id, None)
            case frames.Log():
                self._log(frame)

    def _deliver(self, delta: frames.Delta) -> None:
        if delta.text or delta.tokens:
            self._put(delta.id, Chunk(delta.text, delta.tokens))
        if delta.finish is not None:
            self._put(delta.id, Done(delta.finish, usage_of(delta)))
            self._streams.pop(delta.id, None)

    def _put(self, number: int, event: StreamEvent | HoshikageError) -> None:
        if (events := self._streams.get(number)) is not None:
            events.put_nowait(event)

    def _finish(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(reason)
        for number in list(self._streams):
            self._put(number, WorkerDied(reason))
            self._streams.pop(number, None)

    async def _epitaph(self) -> str:
        """Say how the process ended, with its last words where it had any."""
        if self._closing:
            return "the model was unloaded"
        try:
            code = await asyncio.wait_for(self._process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        log.error("worker_died", model=self._name, how=how, last_words=list(self._stderr)[-5:])
        words = f": {self._stderr[-1]}" if self._stderr else ""
        return f"the worker process of model {self._name!r} ended by {how}{words}; the next request starts a new one"

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):  # a line longer than the reader's limit
            async for line in self._process.stderr:
                text = line.decode("utf-8", "replace").rstrip()
                self._stderr.append(text)
                log.debug("worker_stderr", model=self._name, text=text)

    def _log(self, frame: frames.Log) -> None:
        (log.warning if frame.level == "error" else log.debug)("llama_cpp", model=self._name, text=frame.text)


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The server's environment, with OpenMP's threads told to sleep sooner at a barrier.

    By default they spin for about a millisecond. Alone on the machine that costs nothing, but as soon as another
    program runs on the same cores, they spin while the thread they wait for has no core to run on. Measured on two
    cores with a second worker beside: 8 tokens per second by default, 43 with this; alone there is no difference.
    What the user has set in the environment wins.
    """
    chosen = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environ.keys()
    return dict(environ) if chosen else {**environ, "GOMP_SPINCOUNT": SPIN_COUNT}


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


def generate_frame(number: int, request: ChatRequest) -> frames.Generate:
    """A request as the worker reads it, with every sampling default filled in."""
    s = request.sampling
    given = {name: value for name in frames.SamplingParams.__struct_fields__ if (value := getattr(s, name)) is not None}
    given["logit_bias"] = dict(s.logit_bias)  # any mapping may come; frames hold plain ones
    return frames.Generate(
        id=number,
        turns=[frames.Turn(m.role, m.content, m.name) for m in request.messages],
        prompt=request.prompt,
        sampling=frames.SamplingParams(**given),
        max_tokens=request.max_tokens,
        stop=list(request.stop),
    )


def error_of(frame: frames.Refused) -> HoshikageError:
    """A worker's refusal as the error that routes know."""
    if frame.kind == "context":
        return ContextOverflow.of(prompt_tokens=frame.prompt_tokens, n_ctx=frame.n_ctx)
    if frame.kind == "invalid":
        return InvalidRequest(frame.reason, param=frame.param)
    return EngineFailed(frame.reason)


def usage_of(delta: frames.Delta) -> Usage:
    """The counts that a sequence's last delta carries."""
    return Usage(
        prompt_tokens=delta.prompt_tokens,
        completion_tokens=delta.completion_tokens,
        cached_tokens=delta.cached_tokens,
        prefill_s=delta.prefill_s,
        decode_s=delta.decode_s,
    )
