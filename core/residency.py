"""Who may be loaded: a pure decision over what occupies memory now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Occupant:
    """A model that is loading, loaded or closing.

    Attributes:
        key: what identifies it.
        busy: requests hold it, or it is on its way in or out.
        last_used: when it was last asked; any clock, as long as it is one.
        leaving: it is on its way out, so its place will be free without anybody else having to go.
    """

    key: str
    busy: bool
    last_used: float
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """Whether a model may be loaded now, and who should leave first.

    Attributes:
        ready: it may start at once.
        evict: keys of idle models that must leave before it can.
    """

    ready: bool
    evict: tuple[str, ...] = ()


def make_room(wanted: str, occupants: Sequence[Occupant], max_loaded: int) -> Room:
    """Decide whether `wanted` may start. An idle model leaves, the least recently used first; a busy one never."""
    if any(o.key == wanted for o in occupants):
        return Room(ready=True)
    excess = len(occupants) + 1 - max_loaded
    if excess <= 0:
        return Room(ready=True)
    idle = sorted((o for o in occupants if not o.busy), key=lambda o: o.last_used)
    needed = max(excess - sum(o.leaving for o in occupants), 0)
    return Room(ready=False, evict=tuple(o.key for o in idle[:needed]))
