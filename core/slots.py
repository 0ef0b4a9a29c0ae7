"""One model's slot: a state machine with a single owner task, which loads, watches and unloads the model."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.contracts import EngineCounters, LoadedView, LoadPlan, MemoryNeed
from hoshikage.core.errors import HoshikageError, ModelLoadFailed, ServerStopping
from hoshikage.core.names import name_key
from hoshikage.core.slot_rules import NEVER, Action, Situation, SlotState, next_action
from hoshikage.core.storage import Placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage.core.contracts import Engine, LoadedModel, ModelRecord
    from hoshikage.core.storage import Storage

log = structlog.get_logger(__name__)

STOPPING = "the server is shutting down; try again in a moment"


class Lease:
    """The right to use a slot's model; while one is held, the model stays. Release it exactly once.

    Args:
        context_length: tokens that the model's context must hold at least; 0 is no wish.
    """

    def __init__(self, slot: ModelSlot, context_length: int = 0) -> None:
        self._slot = slot
        self._context_length = context_length
        self._held = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the receipt should know of the load."""
        return self._slot.notes

    async def model(self) -> LoadedModel:
        """The loaded model; waits for the load, and for more context where that is needed.

        Raises:
            ModelLoadFailed: the load failed.
            ContextOverflow: the context cannot be made that long.
        """
        model = await self._slot.ready()
        if model.context_length < self._context_length:
            await self._slot.extend(model, self._context_length)
        return model

    def release(self, keep_alive_s: float | None = None) -> None:
        """Give the slot back. The last one to leave decides how long the model stays. Idempotent."""
        if self._held:
            self._held = False
            self._slot.leave(keep_alive_s)


class ModelSlot:
    """A place for one model. Only its owner task changes `state`; others read it, lease it, or ask.

    Args:
        keep_alive_s: how long an idle model stays, where a request does not say; negative is for ever.
        on_change: called after every change of state: it may let another request start.

    Attributes:
        need: what the model was said to take when it was let in; what it takes once it is loaded is `memory`.
        pinned: it stays when it is idle.
        load_s: how long its last load took; 0 before the first.
        staged: it reads its weights from a staged copy.
        keep_alive_s: as given; a model that is described anew gets another one.
    """

    def __init__(
        self,
        record: ModelRecord,
        engine: Engine,
        *,
        storage: Storage,
        keep_alive_s: float,
        on_change: Callable[[], None],
        pinned: bool = False,
    ) -> None:
        self.record = record
        self.need = MemoryNeed()
        self.pinned = pinned
        self.load_s = 0.0
        self.keep_alive_s = keep_alive_s
        self._notes: tuple[str, ...] = ()
        self._storage = storage
        self._placement = Placement()
        self._context_length = 0
        self._extending = asyncio.Lock()
        self.state = SlotState.EMPTY
        self.leases = 0
        self.last_used = time.monotonic()
        self._engine = engine
        self._on_change = on_change
        self._since = time.time()
        self._expires_at = NEVER
        self._unload_at = NEVER
        self._ahead = False
        self._model: LoadedModel | None = None
        self._watch: asyncio.Task[str] | None = None
        self._waiters: list[asyncio.Future[LoadedModel]] = []
        self._wake = asyncio.Event()
        # An empty context: the owner outlives the request that made the slot, and must not log under its id.
        self._owner = asyncio.create_task(self._own(), name=f"slot of {record.name}", context=contextvars.Context())

    # --- what others may do ---

    def lease(self, context_length: int = 0) -> Lease:
        """Hold the slot; it will not be unloaded before the release."""
        self.leases += 1
        self.last_used = time.monotonic()
        self._unload_at = NEVER
        self._expires_at = NEVER
        self._context_length = max(self._context_length, context_length)
        return Lease(self, context_length)

    def leave(self, keep_alive_s: float | None) -> None:
        """Take back one lease; `Lease.release` calls this."""
        self.leases -= 1
        self.last_used = time.monotonic()
        self._storage.touch(self.record)
        keep = keep_alive_s if keep_alive_s is not None else self.keep_alive_s
        if self.leases == 0 and keep >= 0:
            self._expires_at = self.last_used + keep
        self._wake.set()

    def ask_to_unload(self, *, after_s: float = 0.0) -> None:
        """Let the model go as soon as no request holds it; who asks again can only make it sooner.

        Args:
            after_s: it need not hurry, and whoever takes its place has so long the machine for itself.
        """
        self._unload_at = min(self._unload_at, time.monotonic() + after_s)
        self._wake.set()

    def load_ahead(self, context_length: int) -> None:
        """Load the model for a request that will hold the slot later; tried once."""
        self._unload_at = NEVER
        self._context_length = max(self._context_length, context_length)
        self._ahead = True
        self._wake.set()

    def set_pinned(self, *, pinned: bool) -> None:
        """Keep the model when it is idle, or no longer."""
        self.pinned = pinned
        self._wake.set()

    async def ready(self) -> LoadedModel:
        """The loaded model, as soon as there is one."""
        if self.state is SlotState.READY and not self._dead() and self._model is not None:
            return self._model
        if self._owner.done():
            raise ServerStopping(STOPPING)
        waiter: asyncio.Future[LoadedModel] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wake.set()
        try:
            return await waiter
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    async def extend(self, model: LoadedModel, context_length: int) -> None:
        """Make the context of the loaded model longer, once for all who want it at the same time.

        Raises:
            ContextOverflow: that is not possible.
        """
        async with self._extending:
            if model.context_length < context_length:
                before = model.context_length
                await model.extend_context(context_length)
                log.info("context_extended", model=self.record.name, tokens=model.context_length, before=before)
                self._on_change()

    @property
    def key(self) -> str:
        """Identifies it; a retired slot and its successor have one name but are two."""
        return f"{name_key(self.record.name)}#{id(self)}"

    @property
    def coming(self) -> bool:
        """Whether its model is not there yet, but its place and memory have been given away."""
        promised = self.leases > 0 or self._ahead
        return self.state is SlotState.LOADING or (self.state is SlotState.EMPTY and promised)

    @property
    def leaving(self) -> bool:
        """Whether the model is on its way out."""
        return self.state is SlotState.CLOSING or (self._unload_at != NEVER and self.leases == 0)

    def serves(self, context_length: int) -> bool:
        """Whether the model is loaded, stays, and its context holds so many tokens."""
        return self.state is SlotState.READY and not self.leaving and context_length <= self.context_length

    @property
    def memory(self) -> MemoryNeed:
        """What the model takes, or is expected to take until it is loaded."""
        return self._model.memory if self._model is not None else self.need

    @property
    def context_length(self) -> int:
        """Tokens that the loaded model's context holds; 0 while none is loaded."""
        return self._model.context_length if self._model is not None else 0

    @property
    def staged(self) -> bool:
        """Whether the weights are read from a staged copy."""
        return self._placement.copy is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the last load; a copy that was to be made meanwhile may have been refused since."""
        refused = self._storage.refusal(self.record) if self._placement.copy_later else ""
        return (f"loaded from disk: {refused}",) if refused else self._notes

    def view(self) -> LoadedView:
        """The slot for a reader."""
        model = self._model
        expires = None
        if self._expires_at != NEVER and not self.pinned:
            expires = time.time() + self._expires_at - time.monotonic()
        return LoadedView(
            record=self.record,
            state=self.state.value,
            engine=self._engine.name,
            since=self._since,
            expires_at=expires,
            running=self.leases,
            context_length=model.context_length if model else 0,
            size_bytes=model.size_bytes if model else 0,
            memory=self.memory,
            staged=self.staged,
            pinned=self.pinned,
            load_s=self.load_s,
            notes=self.notes,
            pid=model.pid if model else None,
            counters=model.counters if model else EngineCounters(),
        )

    async def stop(self) -> None:
        """End the owner and give back everything, whatever runs."""
        self._owner.cancel()
        await asyncio.gather(self._owner, return_exceptions=True)
        if self._model is not None:
            await self._close("the server stops")
        elif self.state is not SlotState.EMPTY:  # the end came in mid-load
            self._release_copy()
            self._enter(SlotState.EMPTY)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(ServerStopping(STOPPING))

    def abandon(self) -> None:
        """End the owner of an empty slot that nobody holds."""
        self._owner.cancel()

    # --- the owner ---

    async def _own(self) -> None:
        while True:
            self._wake.clear()
            match next_action(self._situation()):
                case Action.LOAD:
                    await self._load()
                case Action.CLOSE:
                    await self._close("it died" if self._dead() else "it was idle or asked to go")
                case Action.WAIT:
                    await self._sleep()

    def _situation(self) -> Situation:
        return Situation(
            self.state,
            len(self._waiters),
            self.leases,
            self._unload_at,
            self._dead(),
            self._idle_until(),
            time.monotonic(),
            self._ahead,
        )

    async def _sleep(self) -> None:
        if self.state is SlotState.READY and self._waiters and self._model is not None:
            self._answer(self._model)
        limit, until = None, min(self._unload_at, self._idle_until())
        if self.state is SlotState.READY and self.leases == 0 and until != NEVER:
            limit = max(until - time.monotonic(), 0)
        # Not `wait_for`: on Python 3.11 it loses a cancellation that comes in the turn of the wake-up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._wake.wait()

    def _idle_until(self) -> float:
        return NEVER if self.pinned else self._expires_at

    async def _load(self) -> None:
        self._enter(SlotState.LOADING)
        started, ahead, self._ahead = time.monotonic(), self._ahead, False
        try:
            self._model = await self._placed()
        except HoshikageError as error:
            self._release_copy()
            self._fail(error)
        except Exception as error:
            log.exception("engine_broke_its_contract", engine=self._engine.name, model=self.record.name)
            self._release_copy()
            self._fail(ModelLoadFailed(f"model {self.record.name!r} cannot be loaded: {error}"))
        else:
            self._watch = asyncio.create_task(self._model.wait_closed(), name=f"watch of {self.record.name}")
            self._watch.add_done_callback(lambda _: self._wake.set())
            self.load_s = time.monotonic() - started
            self._enter(SlotState.READY)
            log.info(
                "model_loaded",
                model=self.record.name,
                engine=self._engine.name,
                staged=self.staged,
                ahead=ahead,
                seconds=round(self.load_s, 3),
            )
            if self._placement.copy_later:
                self._storage.copy_later(self.record)
            self._answer(self._model)

    async def _placed(self) -> LoadedModel:
        """Load from the staged copy; where that fails, the copy may be damaged, and the source is tried."""
        self._placement = await self._storage.place(self.record)
        self._notes = (self._placement.note,) if self._placement.note else ()
        copy = self._placement.copy
        if copy is None:
            return await self._engine.load(self.record, LoadPlan(context_length=self._context_length))
        try:
            plan = LoadPlan(copy.file, self._context_length, (copy.state_folder,))
            return await self._engine.load(self.record, plan)
        except ModelLoadFailed as error:
            self._release_copy()
            log.warning("staged_copy_not_loaded", model=self.record.name, reason=error.message)
            if not await self._storage.unstage(self.record) and self._storage.find(self.record) is not None:
                raise
            self._notes = ("loaded from disk: the staged copy could not be loaded, and was given up",)
            return await self._engine.load(self.record, LoadPlan(context_length=self._context_length))

    def _release_copy(self) -> None:
        placement, self._placement = self._placement, Placement()
        self._storage.release(self.record, placement)

    async def _close(self, why: str) -> None:
        assert self._model is not None
        self._enter(SlotState.CLOSING)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        try:
            await self._model.close()
        except Exception:
            log.exception("engine_broke_its_contract", engine=self._engine.name, model=self.record.name)
        # `_unload_at` stays: whoever asked while this model closed means the next one that a held lease loads.
        self._model, self._watch = None, None
        self._release_copy()
        self._expires_at = NEVER
        self._context_length = 0
        log.info("model_unloaded", model=self.record.name, why=why)
        self._enter(SlotState.EMPTY)

    def _answer(self, model: LoadedModel) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(model)
        self._waiters.clear()

    def _fail(self, error: HoshikageError) -> None:
        log.error("model_load_failed", model=self.record.name, reason=error.message)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()
        self._context_length = 0  # it may have been what failed
        self._enter(SlotState.EMPTY)

    def _dead(self) -> bool:
        return self._watch is not None and self._watch.done()

    def _enter(self, state: SlotState) -> None:
        self.state = state
        self._since = time.time()
        self._on_change()
