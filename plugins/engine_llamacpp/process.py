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
from typing import TYPE_CHECKING, TypeVar

import structlog

from hoshikage import Done, Embeddings, EngineCounters, HoshikageError, MemoryNeed, Scores, Started
from hoshikage.core.errors import ContextOverflow, ModelLoadFailed, WorkerDied
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.channel import Channel
from hoshikage.plugins.engine_llamacpp.translate import (
    chunk_of,
    counters_of,
    error_of,
    generate_frame,
    usage_of,
    vectors_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from hoshikage import ChatRequest, EmbedRequest, RerankRequest, StreamEvent

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 3.0
STDERR_LINES = 20
SPIN_COUNT = "2000"


Result = frames.Embedded | frames.Scored | frames.Tokenized | frames.Detokenized
T = TypeVar("T", frames.Embedded, frames.Scored, frames.Tokenized, frames.Detokenized)


class LlamaCppModel:
    """A loaded model in its worker process; implements `LoadedModel`."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, channel: Channel, *, scoped: bool = False
    ) -> None:
        self._name = name
        self._scoped = scoped
        self._process = process
        self._channel = channel
        self._ready = frames.Ready(0, 0)
        self._ids = itertools.count(1)
        self._counters = frames.Counters()
        self._streams: dict[int, asyncio.Queue[frames.Begun | frames.Delta | HoshikageError]] = {}
        self._results: dict[int, asyncio.Future[Result]] = {}
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._closing = False
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._read_stderr(), name=f"stderr of {name}")]

    @classmethod
    async def start(cls, name: str, init: frames.Init, *, scoped: bool = False) -> LlamaCppModel:
        """Start a worker and let it load the model; `scoped` keeps what is computed apart for each caller.

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
        model = cls(name, process, channel, scoped=scoped)
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
    def memory(self) -> MemoryNeed:
        """See `LoadedModel.memory`."""
        return MemoryNeed(weights_bytes=self.size_bytes)

    async def extend_context(self, context_length: int) -> None:
        """See `LoadedModel.extend_context`."""
        if context_length > self.context_length:
            raise ContextOverflow(f"the context holds {self.context_length} tokens", param="num_ctx")

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._process.pid

    @property
    def counters(self) -> EngineCounters:
        """What the worker last said of itself."""
        return counters_of(self._counters)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `LoadedModel.generate`."""
        self._check_alive()
        number = next(self._ids)
        events: asyncio.Queue[frames.Begun | frames.Delta | HoshikageError] = asyncio.Queue()
        self._streams[number] = events
        ended: dict[int, tuple[frames.Finish, frames.Account]] = {}
        try:
            await self._channel.send(generate_frame(number, request, scoped=self._scoped))
            while len(ended) < request.n:
                event = await events.get()
                if isinstance(event, HoshikageError):
                    self._streams.pop(number, None)
                    raise event
                if isinstance(event, frames.Begun):
                    yield Started(event.prompt_tokens, event.tail)
                    continue
                yield chunk_of(event)
                if event.finish is not None and event.account is not None:
                    ended[event.index] = (event.finish, event.account)
            self._streams.pop(number, None)
            reasons, accounts = zip(*(ended[index] for index in sorted(ended)), strict=True)
            yield Done(reasons[0], usage_of(accounts), more=reasons[1:])
        finally:
            if self._streams.pop(number, None) is not None:
                self._channel.post(frames.Cancel(number))

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """See `LoadedModel.embed`."""
        inputs = [list(i) if isinstance(i, tuple) else i for i in request.inputs]
        number = next(self._ids)
        frame = await self._ask(number, frames.Embed(number, inputs, request.truncate), frames.Embedded)
        return Embeddings(vectors_of(frame), frame.prompt_tokens)

    async def rerank(self, request: RerankRequest) -> Scores:
        """See `LoadedModel.rerank`."""
        number = next(self._ids)
        frame = await self._ask(number, frames.Rerank(number, request.query, list(request.documents)), frames.Scored)
        return Scores(tuple(frame.scores), frame.prompt_tokens)

    async def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """See `LoadedModel.tokenize`."""
        number = next(self._ids)
        return tuple((await self._ask(number, frames.Tokenize(number, text, special), frames.Tokenized)).tokens)

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        """See `LoadedModel.detokenize`."""
        number = next(self._ids)
        return (await self._ask(number, frames.Detokenize(number, list(tokens)), frames.Detokenized)).text

    async def _ask(self, number: int, frame: frames.ToWorker, expected: type[T]) -> T:
        """Send a request that has one answer, and wait for it; being cancelled takes it back."""
        self._check_alive()
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._results[number] = result
        try:
            await self._channel.send(frame)
            answer = await result
        finally:
            if self._results.pop(number, None) is not None and not result.done():
                self._channel.post(frames.Cancel(number))
        assert isinstance(answer, expected)
        return answer

    def _check_alive(self) -> None:
        if self._end.done():
            raise WorkerDied(self._end.result())

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
                    self._channel.listen(self._take)
                    return
                case frames.Failed():
                    raise ModelLoadFailed(f"model {self._name!r} cannot be loaded: {frame.reason}")
                case frames.Log():
                    self._log(frame)
                case None:
                    raise ModelLoadFailed(f"model {self._name!r} cannot be loaded: {await self._epitaph()}")

    def _take(self, frame: frames.FromWorker | None) -> None:
        if frame is not None:
            self._dispatch(frame)
        else:
            self._tasks.append(asyncio.create_task(self._bury(), name=f"end of {self._name}"))

    async def _bury(self) -> None:
        self._finish(await self._epitaph())

    def _dispatch(self, frame: frames.FromWorker) -> None:
        match frame:
            case frames.Step():
                self._counters = frame.counters or self._counters
                for delta in frame.deltas:
                    self._put(delta.id, delta)
            case frames.Begun():
                self._put(frame.id, frame)
            case frames.Refused():
                self._refuse(frame.id, error_of(frame))
            case frames.Embedded() | frames.Scored() | frames.Tokenized() | frames.Detokenized():
                if (result := self._results.get(frame.id)) is not None and not result.done():
                    result.set_result(frame)
            case frames.Log():
                self._log(frame)

    def _put(self, number: int, event: frames.Begun | frames.Delta | HoshikageError) -> None:
        if (events := self._streams.get(number)) is not None:
            events.put_nowait(event)

    def _refuse(self, number: int, error: HoshikageError) -> None:
        self._put(number, error)
        if (result := self._results.get(number)) is not None and not result.done():
            result.set_exception(error)

    def _finish(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(reason)
        for number in (*self._streams, *self._results):
            self._refuse(number, WorkerDied(reason))

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
    spinning = {} if chosen else {"GOMP_SPINCOUNT": SPIN_COUNT}
    # Without this a debugger, where there is one, writes over the assertion that says why a worker died.
    return {"GGML_NO_BACKTRACE": "1", **environ, **spinning}
