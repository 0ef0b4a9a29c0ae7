"""The slots of all models, and the carrying out of what `residency.py` decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hoshikage.core.names import name_key
from hoshikage.core.residency import Occupant, make_room
from hoshikage.core.slots import ModelSlot, SlotState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hoshikage.core.catalog import Catalog
    from hoshikage.core.contracts import LoadedView, ModelRecord
    from hoshikage.core.settings import ResidencySettings
    from hoshikage.core.slots import Lease


class Residence:
    """Holds one slot per model that was asked for; a model whose file or options changed gets a new one."""

    def __init__(self, settings: ResidencySettings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._on_change: Callable[[], None] = _nothing
        self._slots: dict[str, ModelSlot] = {}
        self._retired: list[ModelSlot] = []

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Call this after every change of a slot's state: it may let another request start."""
        self._on_change = callback

    def lease(self, record: ModelRecord) -> Lease | None:
        """Hold the model's slot if it may be loaded now; otherwise ask idle models to leave.

        Raises:
            ModelLoadFailed: no engine can load it.
        """
        slot = self._slot(record)
        room = make_room(_slot_id(slot), self._occupants(), self._settings.max_loaded)
        if room.ready:
            return slot.lease()
        for other in self._all():
            if _slot_id(other) in room.evict:
                other.ask_to_unload()
        return None

    def views(self) -> tuple[LoadedView, ...]:
        """Every slot that is not empty."""
        return tuple(s.view() for s in self._all() if s.state is not SlotState.EMPTY)

    def ask_to_unload(self, record: ModelRecord) -> None:
        """Let a model go once it is idle; nothing happens if it is not loaded."""
        slot = self._slots.get(name_key(record.name))
        if slot is not None and slot.state is not SlotState.EMPTY:
            slot.ask_to_unload()

    def retire_missing(self, records: Iterable[ModelRecord]) -> None:
        """Let go what is no longer in the catalogue as it was loaded, and forget slots that are done with."""
        current = {name_key(r.name): r.identity() for r in records}
        for key in [k for k, slot in self._slots.items() if current.get(k) != slot.record.identity()]:
            self._retire(key)
        for slot in [s for s in self._retired if s.state is SlotState.EMPTY and s.leases == 0]:
            self._retired.remove(slot)
            slot.abandon()

    async def stop(self) -> None:
        """Unload everything."""
        await asyncio.gather(*(slot.stop() for slot in self._all()))

    def _changed(self) -> None:
        self._on_change()

    def _slot(self, record: ModelRecord) -> ModelSlot:
        key = name_key(record.name)
        slot = self._slots.get(key)
        if slot is not None and slot.record.identity() != record.identity():
            self._retire(key)
            slot = None
        if slot is None:
            slot = ModelSlot(
                record,
                self._catalog.engine(record),
                idle_timeout_s=self._settings.idle_timeout_s,
                on_change=self._changed,
            )
            self._slots[key] = slot
        return slot

    def _retire(self, key: str) -> None:
        slot = self._slots.pop(key)
        self._retired.append(slot)
        slot.ask_to_unload()

    def _all(self) -> list[ModelSlot]:
        return [*self._slots.values(), *self._retired]

    def _occupants(self) -> list[Occupant]:
        return [
            Occupant(
                _slot_id(s),
                busy=s.leases > 0 or s.state is not SlotState.READY,
                last_used=s.last_used,
                leaving=s.leases == 0 and s.state is SlotState.CLOSING,
            )
            for s in self._all()
            if s.leases > 0 or s.state is not SlotState.EMPTY
        ]


def _nothing() -> None:
    """Nobody is listening yet."""


def _slot_id(slot: ModelSlot) -> str:
    """A retired slot and its successor have one name but are two occupants."""
    return f"{name_key(slot.record.name)}#{id(slot)}"
