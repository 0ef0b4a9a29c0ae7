"""The slots of all models, and the carrying out of what `residency.py` decides."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.contracts import MemoryNeed, MemoryStatus, ModelRecord
from hoshikage.core.demand import Demand, own_context, refusal
from hoshikage.core.errors import ModelFileError, ServerStopping, StagingRefused
from hoshikage.core.http.durations import FOREVER_S, keep_alive_s
from hoshikage.core.names import name_key
from hoshikage.core.residency import Limits, Occupant, Wanted, context_step, fits_beside, make_room, suffices
from hoshikage.core.slot_rules import SlotState
from hoshikage.core.slots import STOPPING, ModelSlot
from hoshikage.core.swap_log import SwapLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hoshikage.core.budget import Budget
    from hoshikage.core.catalog import Catalog
    from hoshikage.core.contracts import LoadedView, StagedView
    from hoshikage.core.pins import Pins
    from hoshikage.core.residency import Room
    from hoshikage.core.settings import ResidencySettings
    from hoshikage.core.slots import Lease
    from hoshikage.core.storage import Storage

log = structlog.get_logger(__name__)

ASSUMED_BYTES_PER_S = 1e9  # what a load is taken to cost before one was seen
ASSUMED_START_S = 0.3
FIRST_ANSWER_S = 1.0  # what the first token after a load is given before others use the machine again
COPY = "copy of "


class Residence:
    """Holds one slot per model that was asked for; a model whose file or options changed gets a new one."""

    def __init__(
        self, settings: ResidencySettings, catalog: Catalog, *, storage: Storage, budget: Budget, pins: Pins
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._storage = storage
        self._budget = budget
        self._pins = pins
        self._on_change: Callable[[], None] = _nothing
        self._slots: dict[str, ModelSlot] = {}
        self._retired: list[ModelSlot] = []
        self._load_s: dict[str, float] = {}
        self._swaps = SwapLog()
        self._loading: set[str] = set()
        self._unstaging: dict[str, asyncio.Task[None]] = {}
        self._ahead: ModelSlot | None = None
        self._stopping = False

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Call this after every change of a slot's state: it may let another request start."""
        self._on_change = callback
        self._storage.call_on_change(callback)

    async def demand(self, record: ModelRecord, context_length: int = 0) -> Demand:
        """What a request for a model needs; asked before the queue, as it may read the file's header.

        Args:
            record: the model.
            context_length: tokens that the request wants room for; 0 leaves it to the model's own `num_ctx`. It is
                rounded up to a step, and bounded by what the model was trained for.
        """
        context_length = context_length or own_context(record)
        engine = self._catalog.engine(record)
        trained = 0
        if context_length:
            trained = (await self._catalog.facts_or_none(record)).context_length
        step = context_step(context_length, trained)
        try:
            need = await engine.estimate(record, step)
        except ModelFileError:
            need = MemoryNeed()  # the load will say what is wrong with the file
        return Demand(record, step, need)

    def lease(self, demand: Demand) -> Lease | None:
        """Hold the model's slot if it may be loaded now; otherwise ask idle models to leave.

        Raises:
            ModelLoadFailed: no engine can load it.
            InsufficientMemory: it does not fit, whoever leaves.
            ServerStopping: nothing is loaded any more.
        """
        if self._stopping:
            raise ServerStopping(STOPPING)
        slot = self._slot(demand.record)
        if slot is not self._ahead and slot.serves(demand.context_length):  # as a rule; nothing is measured for it
            return slot.lease(demand.context_length)
        room = self.room(demand)
        if room.missing_ram_bytes or room.missing_vram_bytes:
            raise refusal(demand, room, self.pinned_names())
        # Closing takes the machine's time too; where memory holds both, the newcomer's first answer goes before.
        self._let_go(room.evict, after_s=self.expected_load_s(demand.record) + FIRST_ANSWER_S if room.ready else 0)
        if not room.ready:
            self._hurry_those_who_leave()
            return None
        if slot is self._ahead:
            self._ahead = None  # from now on it is one of the models that count
        unused = slot.state is SlotState.EMPTY and slot.leases == 0
        if unused or demand.need.total_bytes > slot.need.total_bytes:
            slot.need = demand.need
        return slot.lease(demand.context_length)

    def room(self, demand: Demand) -> Room:
        """Whether a model may be loaded now, and who would leave for it."""
        slot = self._slot(demand.record)
        return make_room(self._wanted(slot, demand), self._occupants(demand.record), self._limits())

    def limits(self) -> Limits:
        """What there is to be had now."""
        return self._limits()

    def memory(self) -> MemoryStatus:
        """What loaded models take, and what others could."""
        limits, taken = self._limits(), [s.memory for s in self._all() if s.state is not SlotState.EMPTY]
        return MemoryStatus(
            ram_bytes=sum(m.ram_bytes for m in taken),
            vram_bytes=sum(m.vram_bytes for m in taken),
            free_ram_bytes=limits.free_ram_bytes,
            free_vram_bytes=limits.free_vram_bytes,
        )

    def is_loaded(self, record: ModelRecord) -> bool:
        """Whether the model is ready, and not on its way out."""
        slot = self._slots.get(name_key(record.name))
        return slot is not None and slot.state is SlotState.READY and not slot.leaving

    def blockers(self, demand: Demand, room: Room) -> tuple[str, ...]:
        """Other models whose running requests must end first, because those that leave are not enough."""
        wanted = self._wanted(self._slot(demand.record), demand)
        if room.ready or suffices(wanted, self._occupants(demand.record), self._limits(), leaving=room.evict):
            return ()
        key = name_key(demand.record.name)
        return tuple(s.record.name for s in self._all() if s.leases and name_key(s.record.name) != key)

    def pinned_names(self) -> tuple[str, ...]:
        """Loaded models that do not leave."""
        return tuple(s.record.name for s in self._all() if s.pinned and s.state is not SlotState.EMPTY)

    def name_of(self, key: str) -> str:
        """The name of the model behind a key of `Room.evict`."""
        if key.startswith(COPY):
            return key
        return next(s.record.name for s in self._all() if s.key == key)

    def prefetch(self, record: ModelRecord) -> None:
        """A request waits for its turn: its model may be staged meanwhile."""
        slot = self._slots.get(name_key(record.name))
        if slot is None or (slot.state is SlotState.EMPTY and slot is not self._ahead):
            self._storage.prefetch(record)

    def load_ahead(self, demand: Demand | None) -> None:
        """Load the model of the next request while those before it still answer, if there are bytes for both.

        It is one more than `max_loaded`, and counts once the request has its turn. Until then it can be let go like
        one that is idle, and is when the request is withdrawn.

        Args:
            demand: of the request whose turn is next; `None` where nobody waits.
        """
        slot = None if demand is None or self._stopping else self._slot(demand.record)
        if slot is self._ahead:
            return  # under way or there; or it could not be loaded, which the request will be told in its turn
        if self._ahead is not None:
            self._ahead.ask_to_unload()
            self._ahead = None
        if slot is None or demand is None or slot.leases or slot.state is not SlotState.EMPTY:
            return
        if fits_beside(self._wanted(slot, demand), self._limits()):
            self._ahead, slot.need = slot, demand.need
            slot.load_ahead(demand.context_length)

    def views(self) -> tuple[LoadedView, ...]:
        """Every slot that is not empty."""
        return tuple(s.view() for s in self._all() if s.state is not SlotState.EMPTY)

    def ask_to_unload(self, record: ModelRecord) -> None:
        """Let a model go once it is idle; nothing happens if it is not loaded."""
        slot = self._slots.get(name_key(record.name))
        if slot is not None and slot.state is not SlotState.EMPTY:
            slot.ask_to_unload()

    async def pin(self, record: ModelRecord, *, pinned: bool) -> None:
        """Keep a model where it is when others want its place and when it is idle, or no longer."""
        await asyncio.to_thread(self._pins.set, record.name, pinned=pinned)
        self.recall_pins()
        slot = self._slots.get(name_key(record.name))
        if slot is not None:
            slot.set_pinned(pinned=pinned)

    def recall_pins(self) -> None:
        """Bring the stager in step with the remembered pins; a file stays while any of its names is pinned."""
        pins = set(self._pins.names())
        records = [r for r in self._catalog.models() if r.file is not None]
        kept = {r.file for r in records if name_key(r.name) in pins}
        for record in records:
            self._storage.pin(record, pinned=record.file in kept)

    def expected_load_s(self, record: ModelRecord) -> float:
        """How long a load takes: as long as the last one, or what its size lets expect."""
        seen = self._load_s.get(name_key(record.name))
        return seen if seen is not None else ASSUMED_START_S + record.size_bytes / ASSUMED_BYTES_PER_S

    def retire_missing(self, records: Iterable[ModelRecord]) -> None:
        """Let go what is no longer in the catalogue as it was loaded, and forget slots that are done with."""
        current = {name_key(r.name): r.identity() for r in records}
        for key in [k for k, slot in self._slots.items() if current.get(k) != slot.record.identity()]:
            self._retire(key)
        for slot in [s for s in self._retired if s.state is SlotState.EMPTY and s.leases == 0]:
            self._retired.remove(slot)
            slot.abandon()

    async def stop(self) -> None:
        """Unload everything; from now on nothing is loaded."""
        self._stopping = True
        for task in self._unstaging.values():
            task.cancel()
        await asyncio.gather(*self._unstaging.values(), return_exceptions=True)
        await asyncio.gather(*(slot.stop() for slot in self._all()))

    # --- inside ---

    def _wanted(self, slot: ModelSlot, demand: Demand) -> Wanted:
        need = demand.need
        if slot.state is SlotState.READY:  # also if it was asked to go: it stays then
            more = demand.context_length > slot.context_length
            now = slot.memory
            ram = max(need.context_bytes + need.other_bytes - now.context_bytes - now.other_bytes, 0) if more else 0
            vram = max(need.vram_bytes - now.vram_bytes, 0) if more else 0
            return Wanted(slot.key, ram, vram)
        if slot.coming:
            ram, vram = need.ram_bytes - slot.need.ram_bytes, need.vram_bytes - slot.need.vram_bytes
            return Wanted(slot.key, max(ram, 0), max(vram, 0))
        # A staged copy is in memory already, and is mapped as it lies there.
        weights = 0 if self._storage.find(demand.record) is not None else need.weights_bytes
        return Wanted(slot.key, weights + need.context_bytes + need.other_bytes, need.vram_bytes)

    def _limits(self) -> Limits:
        slots = self._occupied()
        free = self._budget.free(
            # Pages of a mapped file count as available, but they are what makes the model fast.
            mapped_bytes=sum(self._own_memory(s).weights_bytes for s in slots if s.state is SlotState.READY),
            expected=[self._own_memory(s) for s in slots if s.coming],
            loaded=[self._own_memory(s) for s in slots],
        )
        return Limits(self._settings.max_loaded, free.ram_bytes, free.vram_bytes, time.monotonic())

    def _own_memory(self, slot: ModelSlot) -> MemoryNeed:
        """What it takes or will take besides a copy, which is in memory already and counts as an occupant itself."""
        in_copy = slot.staged or (slot.coming and self._storage.find(slot.record) is not None)
        return replace(slot.memory, weights_bytes=0) if in_copy else slot.memory

    def _occupants(self, wanted: ModelRecord) -> list[Occupant]:
        slots = self._occupied()
        # Its own copy is what it is going to read: to let that go would only make it need more.
        copies = [view for view in self._storage.views() if view.file != wanted.file]
        return [self._occupant(s) for s in slots] + [self._copy(view) for view in copies]

    def _occupant(self, slot: ModelSlot) -> Occupant:
        memory = self._own_memory(slot)
        return Occupant(
            slot.key,
            busy=slot.leases > 0 or slot.state is SlotState.LOADING,
            last_used=slot.last_used,
            ram_bytes=memory.ram_bytes,
            vram_bytes=memory.vram_bytes,
            reload_s=self.expected_load_s(slot.record),
            leaving=slot.leaving,
            pinned=slot.pinned,
            counts=slot is not self._ahead,
        )

    def _copy(self, view: StagedView) -> Occupant:
        key = f"{COPY}{view.file}"
        return Occupant(
            key,
            busy=view.held or view.state != "ready",
            last_used=time.monotonic() - max(time.time() - view.last_used, 0.0),
            ram_bytes=view.size_bytes,
            reload_s=view.size_bytes / ASSUMED_BYTES_PER_S,
            leaving=key in self._unstaging,
            pinned=view.pinned,
            counts=False,
        )

    def _hurry_those_who_leave(self) -> None:
        for slot in self._all():
            if slot.leaving:
                slot.ask_to_unload()

    def _let_go(self, keys: Iterable[str], *, after_s: float) -> None:
        by_key = {s.key: s for s in self._all()}
        for key in keys:
            if key in by_key:
                log.info("model_makes_room", model=by_key[key].record.name)
                by_key[key].ask_to_unload(after_s=after_s)
            elif key not in self._unstaging:
                self._unstaging[key] = asyncio.create_task(self._unstage(key), name=f"unstage {key}")

    async def _unstage(self, key: str) -> None:
        file, gone = Path(key.removeprefix(COPY)), False
        try:
            # The name may be gone from the catalogue; what counts for a copy is its source.
            gone = await self._storage.unstage(ModelRecord(file.name, file))
        except StagingRefused as error:
            log.warning("copy_not_given_back", file=str(file), reason=error.message)
        except Exception:
            log.exception("stager_broke_its_contract", file=str(file))
        finally:
            self._unstaging.pop(key, None)
        if gone:  # otherwise nothing has changed, and to ask again at once would ask for ever
            self._on_change()

    def _changed(self, slot: ModelSlot) -> None:
        key = slot.key
        if slot.state is SlotState.LOADING:
            self._loading.add(key)
        elif key in self._loading:
            self._loading.remove(key)
            if slot.state is SlotState.READY:
                self._loaded(slot)
        self._on_change()

    def _loaded(self, slot: ModelSlot) -> None:
        key = name_key(slot.record.name)
        self._load_s[key] = slot.load_s
        self._swaps.note(key)
        self._prefetch_after(key)

    def _prefetch_after(self, key: str) -> None:
        following = self._swaps.likely_next(key)
        if following is None or following not in self._slots:
            return
        self.prefetch(self._slots[following].record)

    def _slot(self, record: ModelRecord) -> ModelSlot:
        key = name_key(record.name)
        slot = self._slots.get(key)
        if slot is not None and slot.record.identity() != record.identity():
            self._retire(key)
            slot = None
        if slot is None:
            slot = self._slots[key] = self._new_slot(record)
        slot.keep_alive_s = self._keep_alive_s(record)  # it may have been described anew
        return slot

    def _new_slot(self, record: ModelRecord) -> ModelSlot:
        def changed() -> None:
            self._changed(slot)

        pinned = record.name in self._pins
        if pinned:
            self._storage.pin(record, pinned=True)
        slot = ModelSlot(
            record,
            self._catalog.engine(record),
            storage=self._storage,
            keep_alive_s=self._keep_alive_s(record),
            on_change=changed,
            pinned=pinned,
        )
        return slot

    def _keep_alive_s(self, record: ModelRecord) -> float:
        """The model's own `keep_alive`, or the settings' timeout; negative is for ever."""
        own = record.parameters.get("keep_alive")
        seconds = keep_alive_s(own) if isinstance(own, int | float | str) else None
        return seconds if seconds is not None else self._settings.idle_timeout_s or FOREVER_S

    def _retire(self, key: str) -> None:
        slot = self._slots.pop(key)
        self._retired.append(slot)
        slot.ask_to_unload()

    def _occupied(self) -> list[ModelSlot]:
        return [s for s in self._all() if s.state is not SlotState.EMPTY or s.coming]

    def _all(self) -> list[ModelSlot]:
        return [*self._slots.values(), *self._retired]


def _nothing() -> None:
    """Nobody is listening yet."""
