"""A loaded model: its callers' jobs, the worker that computes them, and the next worker when that one dies."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec
import structlog

from hoshikage import Done, Embeddings, EngineCounters, HoshikageError, MemoryNeed, Scores, Started
from hoshikage.core.errors import ContextOverflow, ModelLoadFailed, PromptKillsWorker, WorkerDied
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.jobs import Call, Stream
from hoshikage.plugins.engine_llamacpp.replay import InFlight, Quarantine, Verdict, judge
from hoshikage.plugins.engine_llamacpp.spares import Spares
from hoshikage.plugins.engine_llamacpp.translate import (
    chunk_of,
    counters_of,
    error_of,
    generate_frame,
    usage_of,
    vectors_of,
)
from hoshikage.plugins.engine_llamacpp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import ChatRequest, EmbedRequest, RerankRequest, StreamEvent
    from hoshikage.plugins.engine_llamacpp.child import Child
    from hoshikage.plugins.engine_llamacpp.jobs import Job, Question, Result

log = structlog.get_logger(__name__)

# A machine where workers keep dying is not healed by starting more of them.
MAX_DEATHS, DEATHS_WITHIN_S = 8, 60.0

T = TypeVar("T", frames.Embedded, frames.Scored, frames.Tokenized, frames.Detokenized, frames.Extended)


Weigh = Callable[[Usage, int], MemoryNeed]


def as_measured(usage: Usage, n_ctx: int) -> MemoryNeed:
    """What a worker takes, without a prediction to compare it with."""
    del n_ctx
    rest = max(usage.anonymous_bytes - usage.weights_bytes - usage.context_bytes, 0) + usage.library_bytes
    return MemoryNeed(usage.mapped_bytes + usage.weights_bytes, usage.context_bytes, rest, usage.vram_bytes)


class LlamaCppModel:
    """A loaded model in its worker process; implements `LoadedModel`.

    When the worker dies with answers in the making, another one is started, and the answers go on in it after what was
    sent of them. Nobody but those in flight notices; whoever kills two workers is refused.
    """

    def __init__(
        self,
        name: str,
        child: Child,
        *,
        init: frames.Init,
        ready: frames.Ready,
        spares: Spares,
        quarantine: Quarantine,
        scoped: bool,
        weigh: Weigh,
    ) -> None:
        self._name = name
        self._child = child
        self._init = init
        self._ready = ready
        self._spares = spares
        self._quarantine = quarantine
        self._scoped = scoped
        self._weigh = weigh
        self._memory = weigh(ready.usage, ready.n_ctx)
        self._ids = itertools.count(1)
        self._counters = frames.Counters()
        self._jobs: dict[int, Job] = {}
        self._sent: set[int] = set()
        self._held: deque[int] = deque()  # jobs that go on one by one
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._reviving: asyncio.Task[None] | None = None
        self._closing = False
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        child.listen(self._take)

    @classmethod
    async def start(
        cls,
        name: str,
        init: frames.Init,
        *,
        spares: Spares | None = None,
        quarantine: Quarantine | None = None,
        scoped: bool = False,
        weigh: Weigh = as_measured,
    ) -> LlamaCppModel:
        """Load a model in a worker.

        Args:
            name: of the model.
            init: what the worker is told.
            spares: where workers come from; by default each is started when it is needed.
            quarantine: prompts that are not tried again.
            scoped: what is computed is kept apart for each caller.
            weigh: what the model takes, by what the worker has measured and the length of its context.

        Raises:
            ModelLoadFailed: the worker says why, or died while loading.
        """
        spares = spares or Spares(0)
        child, ready = await _loaded(name, init, spares)
        quarantine = quarantine if quarantine is not None else Quarantine()
        return cls(
            name,
            child,
            init=init,
            ready=ready,
            spares=spares,
            quarantine=quarantine,
            scoped=scoped,
            weigh=weigh,
        )

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
        return self._memory

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._child.pid

    @property
    def counters(self) -> EngineCounters:
        """What the worker last said of itself."""
        return counters_of(self._counters)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `LoadedModel.generate`."""
        number = next(self._ids)
        frame = generate_frame(number, request, scoped=self._scoped)
        if self._quarantine.holds(self._name, frame):
            raise PromptKillsWorker.of(self._name)
        self._check_alive()
        stream = Stream(frame)
        ended: dict[int, tuple[frames.Finish, frames.Account]] = {}
        try:
            await self._submit(number, stream)
            while len(ended) < request.n:
                event = await stream.events.get()
                if isinstance(event, HoshikageError):
                    self._end_job(number)
                    raise event
                if isinstance(event, frames.Begun):
                    yield Started(event.prompt_tokens, event.tail)
                    continue
                yield chunk_of(event)
                if event.finish is not None and event.account is not None:
                    ended[event.index] = (event.finish, event.account)
            self._end_job(number)
            reasons, accounts = zip(*(ended[index] for index in sorted(ended)), strict=True)
            yield Done(reasons[0], usage_of(accounts, replays=stream.deaths), more=reasons[1:])
        finally:
            self._cancel_job(number)

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

    async def extend_context(self, context_length: int) -> None:
        """See `LoadedModel.extend_context`."""
        if context_length <= self.context_length:
            return
        number = next(self._ids)
        extended = await self._ask(number, frames.Extend(number, context_length), frames.Extended)
        self._init = msgspec.structs.replace(self._init, n_ctx=extended.n_ctx)
        self._ready = msgspec.structs.replace(self._ready, n_ctx=extended.n_ctx, size_bytes=extended.size_bytes)
        self._memory = self._weigh(extended.usage, extended.n_ctx)
        if extended.n_ctx < context_length:
            raise ContextOverflow(
                f"the model was trained for {extended.n_ctx} tokens, but {context_length} are asked for",
                param="num_ctx",
            )

    async def wait_closed(self) -> str:
        """See `LoadedModel.wait_closed`."""
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        """Stop the worker."""
        self._closing = True
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.gather(self._reviving, return_exceptions=True)
        await self._child.close()
        self._finish("the model was unloaded")

    # --- jobs ---

    async def _ask(self, number: int, frame: Question, expected: type[T]) -> T:
        """Send a question and wait for its answer; being cancelled takes it back."""
        self._check_alive()
        call = Call(frame)
        try:
            await self._submit(number, call)
            answer = await call.result
            self._end_job(number)
        except HoshikageError:
            self._end_job(number)
            raise
        finally:
            self._cancel_job(number)
        assert isinstance(answer, expected)
        return answer

    def _check_alive(self) -> None:
        if self._end.done():
            raise WorkerDied(self._end.result())

    async def _submit(self, number: int, job: Job) -> None:
        self._jobs[number] = job
        if self._reviving is not None:
            return  # the next worker is sent everything that waits
        if self._held:
            self._held.append(number)
            return
        self._sent.add(number)
        await self._child.send(job.frame())

    def _end_job(self, number: int) -> None:
        """Forget a job that the worker is done with."""
        self._jobs.pop(number, None)
        self._sent.discard(number)
        self._send_next()
        if not self._jobs:
            self._spares.refill()

    def _cancel_job(self, number: int) -> None:
        """Take back a job that nobody waits for any more; nothing happens if it has ended."""
        if number in self._jobs:
            self._child.post(frames.Cancel(number))
            self._end_job(number)

    def _send_next(self) -> None:
        """While jobs go on one by one: send the next one, once the last has ended."""
        while self._held and not self._sent and self._reviving is None:
            number = self._held.popleft()
            if (job := self._jobs.get(number)) is not None:
                self._sent.add(number)
                self._child.post(job.frame())

    # --- what the worker says ---

    def _take(self, frame: frames.FromWorker | None) -> None:
        match frame:
            case None:
                if not self._closing and self._reviving is None:
                    self._reviving = asyncio.create_task(self._go_on(), name=f"next worker of {self._name}")
            case frames.Step():
                self._counters = frame.counters or self._counters
                for delta in frame.deltas:
                    self._say(delta.id, delta)
            case frames.Begun():
                self._say(frame.id, frame)
            case frames.Embedded() | frames.Scored() | frames.Tokenized() | frames.Detokenized() | frames.Extended():
                self._answer(frame.id, frame)
            case frames.Refused():
                if (job := self._jobs.get(frame.id)) is not None:
                    job.fail(error_of(frame))
            case frames.Log():
                self._child.log(frame)

    def _say(self, number: int, frame: frames.Begun | frames.Delta) -> None:
        if isinstance(job := self._jobs.get(number), Stream):
            job.take(frame)

    def _answer(self, number: int, frame: Result) -> None:
        if isinstance(job := self._jobs.get(number), Call):
            job.take(frame)

    # --- death and what follows ---

    async def _go_on(self) -> None:
        """The worker is gone: end what it was doing, or let it go on in another one."""
        reason = await self._child.epitaph()
        self._deaths.append(time.monotonic())
        verdict = self._judged()
        for number in verdict.guilty:
            self._blame(number)
        often = len(self._deaths) == MAX_DEATHS and self._deaths[-1] - self._deaths[0] < DEATHS_WITHIN_S
        if often or not self._jobs:
            self._finish(f"{reason}; the next request starts a new one")
            return
        dead = self._child
        try:
            await dead.close()
            self._child, self._ready = await _loaded(self._name, self._init, self._spares)
        except (HoshikageError, OSError) as error:
            self._finish(f"{reason}; another one could not be started: {error}")
            return
        log.warning("worker_replaced", model=self._name, jobs=len(self._jobs), one_by_one=len(verdict.one_by_one))
        self._reviving = None
        self._counters = frames.Counters()  # what the dead one had counted is not what this one is doing
        self._child.listen(self._take)
        self._send_again(verdict)

    def _judged(self) -> Verdict:
        in_flight = []
        for number in sorted(self._sent & self._jobs.keys()):
            self._jobs[number].deaths += 1
            in_flight.append(InFlight(number, self._jobs[number].deaths))
        self._sent.clear()
        return judge(in_flight)

    def _blame(self, number: int) -> None:
        job = self._jobs[number]
        if isinstance(job, Stream):
            self._quarantine.add(self._name, job.first)
        log.error("prompt_kills_worker", model=self._name)
        job.fail(PromptKillsWorker.of(self._name))
        self._jobs.pop(number)

    def _send_again(self, verdict: Verdict) -> None:
        waiting = [n for n in self._jobs if n not in verdict.one_by_one]
        self._held = deque([*verdict.one_by_one, *waiting]) if verdict.one_by_one or self._held else deque()
        if self._held:
            self._send_next()
            return
        for number in waiting:
            self._sent.add(number)
            self._child.post(self._jobs[number].frame())

    def _finish(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(reason)
        for job in list(self._jobs.values()):
            job.fail(WorkerDied(reason))


async def _loaded(name: str, init: frames.Init, spares: Spares) -> tuple[Child, frames.Ready]:
    try:
        child = await spares.take()
    except OSError as error:
        raise ModelLoadFailed(
            f"model {name!r} cannot be loaded: the system starts no process for it ({error.strerror}); "
            "make memory free or raise the limit of processes, then try again"
        ) from error
    try:
        return child, await child.load(name, init)
    except BaseException:
        await child.close()
        raise
