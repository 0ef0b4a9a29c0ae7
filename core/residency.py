"""Who may be loaded, and who leaves for it: a pure decision over what occupies memory now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SMALLEST_STEP = 2048
LEAST_COST_S = 0.01


@dataclass(frozen=True, slots=True)
class Occupant:
    """A model that is loading, loaded or closing, or a staged copy that no loaded model reads.

    Attributes:
        key: what identifies it.
        busy: requests hold it, or it is on its way in.
        last_used: when it was last asked; on the clock of `Limits.now`.
        ram_bytes: main memory that is free again once it has left.
        vram_bytes: the same on the GPUs.
        reload_s: what it costs to bring it back.
        leaving: it is on its way out, so its place will be free without anybody else having to go.
        pinned: it stays.
        counts: it is one of the models of which there may be so many; a copy is not, nor is a model that was loaded
            ahead of its turn.
    """

    key: str
    busy: bool
    last_used: float
    ram_bytes: int = 0
    vram_bytes: int = 0
    reload_s: float = 1.0
    leaving: bool = False
    pinned: bool = False
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be loaded; of a model that is loaded and needs more room, only that more."""

    key: str
    ram_bytes: int = 0
    vram_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is.

    Attributes:
        max_loaded: models at once; 0 is as many as fit.
        free_ram_bytes: main memory that could be taken now; `None` is without bound.
        free_vram_bytes: the same on the GPUs.
        now: the time, for how long somebody has been idle.
    """

    max_loaded: int
    free_ram_bytes: int | None = None
    free_vram_bytes: int | None = None
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Room:
    """Whether a model may be loaded now, and who should leave.

    Attributes:
        ready: it may start at once, beside those that leave.
        evict: keys of those that must leave for it.
        missing_ram_bytes: what would be missing if everybody left who can; then it can never start.
        missing_vram_bytes: the same on the GPUs.
    """

    ready: bool
    evict: tuple[str, ...] = ()
    missing_ram_bytes: int = 0
    missing_vram_bytes: int = 0


def make_room(wanted: Wanted, occupants: Sequence[Occupant], limits: Limits) -> Room:
    """Decide whether `wanted` may start, and who leaves for it.

    Only the idle leave, and no more of them than needed: those first that have been idle for long and cost little to
    bring back. Where memory suffices for both, the new one need not wait until they are gone.
    """
    others = _others(wanted, occupants)
    able = [o for o in others if o.leaving or not o.pinned]
    missing_ram = _never(wanted.ram_bytes, limits.free_ram_bytes, [o.ram_bytes for o in able])
    missing_vram = _never(wanted.vram_bytes, limits.free_vram_bytes, [o.vram_bytes for o in able])
    if missing_ram or missing_vram:
        return Room(ready=False, missing_ram_bytes=missing_ram, missing_vram_bytes=missing_vram)
    excess = _excess(wanted, occupants, limits)
    chosen = _chosen(wanted, others, limits, excess)
    counted = sum(o.counts for o in chosen)
    ready = counted >= excess and fits_beside(wanted, limits)
    return Room(ready=ready, evict=tuple(o.key for o in chosen))


def fits_beside(wanted: Wanted, limits: Limits) -> bool:
    """Whether there are bytes for `wanted` while everybody stays who is there."""
    ram, vram = _lack(wanted.ram_bytes, limits.free_ram_bytes), _lack(wanted.vram_bytes, limits.free_vram_bytes)
    return ram <= 0 and vram <= 0


def suffices(wanted: Wanted, occupants: Sequence[Occupant], limits: Limits, *, leaving: Collection[str]) -> bool:
    """Whether `wanted` may start once these have left, so that nobody who is busy has to end first."""
    others = _others(wanted, occupants)
    going = [o for o in others if o.leaving or o.key in leaving]
    lack_ram = _lack(wanted.ram_bytes, limits.free_ram_bytes) - sum(o.ram_bytes for o in going)
    lack_vram = _lack(wanted.vram_bytes, limits.free_vram_bytes) - sum(o.vram_bytes for o in going)
    counted = sum(o.counts for o in others if o.key in leaving)
    return lack_ram <= 0 and lack_vram <= 0 and counted >= _excess(wanted, occupants, limits)


def value_of(occupant: Occupant, now: float) -> float:
    """What keeping somebody is worth: the cost to bring it back, spread over the time that nobody wanted it."""
    return max(occupant.reload_s, LEAST_COST_S) / max(now - occupant.last_used, LEAST_COST_S)


def context_step(wanted: int, trained: int) -> int:
    """The context to make for a request that wants so many tokens: a step, so that mixed clients share one.

    Args:
        wanted: tokens; 0 is no wish.
        trained: what the model was trained for, which bounds it; 0 is not known.
    """
    if wanted <= 0:
        return 0
    step = SMALLEST_STEP
    while step < wanted:
        step *= 2
    return min(step, trained) if trained else step


def context_floor(most: int) -> int:
    """The longest step that is no longer than so many tokens; 0 where none is."""
    return 1 << (most.bit_length() - 1) if most >= SMALLEST_STEP else 0


def _others(wanted: Wanted, occupants: Sequence[Occupant]) -> list[Occupant]:
    """All but the wanted one; itself too while it is on its way out, because it gives back what it has."""
    return [o for o in occupants if o.key != wanted.key or o.leaving]


def _excess(wanted: Wanted, occupants: Sequence[Occupant], limits: Limits) -> int:
    """How many models must leave by their number alone."""
    if not limits.max_loaded or any(o.key == wanted.key and o.counts and not o.leaving for o in occupants):
        return 0
    staying = sum(o.counts and not o.leaving for o in occupants if o.key != wanted.key)
    return staying + 1 - limits.max_loaded


def _chosen(wanted: Wanted, others: Sequence[Occupant], limits: Limits, excess: int) -> list[Occupant]:
    """Those that leave: the least valuable, as many as the count and the bytes ask for."""
    idle = sorted(
        (o for o in others if not o.busy and not o.leaving and not o.pinned),
        key=lambda o: (value_of(o, limits.now), o.last_used),
    )
    chosen = [o for o in idle if o.counts][: max(excess, 0)]
    going = [o for o in others if o.leaving] + chosen
    lack_ram = _lack(wanted.ram_bytes, limits.free_ram_bytes) - sum(o.ram_bytes for o in going)
    lack_vram = _lack(wanted.vram_bytes, limits.free_vram_bytes) - sum(o.vram_bytes for o in going)
    for occupant in idle:
        if occupant in chosen:
            continue
        if (lack_ram > 0 and occupant.ram_bytes) or (lack_vram > 0 and occupant.vram_bytes):
            chosen.append(occupant)
            lack_ram -= occupant.ram_bytes
            lack_vram -= occupant.vram_bytes
    return chosen


def _lack(needed: int, free: int | None) -> int:
    """Bytes that are missing; none where nothing is needed, however little is free."""
    return needed - free if free is not None and needed > 0 else 0


def _never(needed: int, free: int | None, others: Sequence[int]) -> int:
    return max(_lack(needed, free) - sum(others), 0)
