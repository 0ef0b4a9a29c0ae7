"""Forecasts of loads: what `POST /v1/plan` and `hoshikage plan` answer. Decides as a load would, and does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hoshikage.core.contracts import LoadForecast
from hoshikage.core.residency import SMALLEST_STEP, context_floor

if TYPE_CHECKING:
    from hoshikage.core.contracts import MemoryNeed, ModelRecord
    from hoshikage.core.contracts.plans import Tier
    from hoshikage.core.residence import Residence
    from hoshikage.core.storage import Storage

MIB = 1 << 20


class Forecaster:
    """Asks the same questions that a load does."""

    def __init__(self, residence: Residence, storage: Storage) -> None:
        self._residence = residence
        self._storage = storage

    async def forecast(self, record: ModelRecord, context_length: int, parallel: int) -> LoadForecast:
        """What loading a model would take.

        Args:
            record: the model.
            context_length: tokens for each request; 0 leaves it to the settings.
            parallel: requests at once.
        """
        demand = await self._residence.demand(record, context_length * parallel)
        room, limits = self._residence.room(demand), self._residence.limits()
        fits = not room.missing_ram_bytes and not room.missing_vram_bytes
        found = LoadForecast(
            model=record.name,
            context_length=demand.context_length,
            parallel=parallel,
            tier=self._tier(record),
            fits=fits,
            starts_at_once=room.ready,
            need=demand.need,
            free_ram_bytes=limits.free_ram_bytes,
            free_vram_bytes=limits.free_vram_bytes,
            missing_ram_bytes=room.missing_ram_bytes,
            missing_vram_bytes=room.missing_vram_bytes,
            evicts=tuple(self._residence.name_of(key) for key in room.evict),
            waits_for=self._residence.blockers(demand, room) if fits else (),
            expected_s=self._expected_s(record),
            advice=(),
        )
        given = advice(
            found,
            context_length=demand.context_length,
            pinned=self._residence.pinned_names(),
            can_stage=self._storage.stager is not None and record.file is not None,
        )
        return replace(found, advice=given)

    def _tier(self, record: ModelRecord) -> Tier:
        if self._residence.is_loaded(record):
            return "loaded"
        return "staged" if self._storage.find(record) is not None else "disk"

    def _expected_s(self, record: ModelRecord) -> float:
        return 0.0 if self._residence.is_loaded(record) else self._residence.expected_load_s(record)


def advice(found: LoadForecast, *, context_length: int, pinned: tuple[str, ...], can_stage: bool) -> tuple[str, ...]:
    """What could be done better, in sentences.

    Args:
        found: the forecast without advice.
        context_length: tokens of the whole context that it was made for; 0 is not known.
        pinned: models that do not leave.
        can_stage: whether there is a stager for it.
    """
    said: list[str] = []
    need, missing = found.need, found.missing_ram_bytes + found.missing_vram_bytes
    if missing:
        said.append(f"{missing} bytes ({missing / MIB:.0f} MiB) are missing")
        said.append(_smaller(need, missing, context_length))
        if need.context_bytes:
            said.append('cache_type_k and cache_type_v "q8_0" halve the context\'s memory')
        if pinned:
            said.append(f"pinned models do not leave: {', '.join(pinned)}; `hoshikage unpin` lets them")
    if found.waits_for:
        said.append(f"it would wait for running answers of {', '.join(found.waits_for)}")
    if found.evicts:
        said.append(f"{', '.join(found.evicts)} would leave; `hoshikage pin` keeps a model")
    if found.tier == "disk" and can_stage and not missing:
        said.append(f"`hoshikage stage {found.model}` copies it to the RAM disk beforehand")
    if not need.measured and not missing and found.tier != "loaded":
        said.append("the need is predicted from the file's header; after the first load it is measured")
    return tuple(said)


def _smaller(need: MemoryNeed, missing: int, context_length: int) -> str:
    """What of a model that does not fit could be smaller."""
    if need.context_bytes <= missing:
        return "no context is small enough; choose a smaller quantisation"
    if not context_length:
        return "ask for a smaller num_ctx"
    fitting = context_floor(int(context_length * (1 - missing / need.context_bytes)))
    if not fitting:
        return f"not even a context of {SMALLEST_STEP} tokens would fit; choose a smaller quantisation"
    return f"a context of {fitting} tokens would fit"
