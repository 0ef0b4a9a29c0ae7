"""Which copies go to make room for another: a pure decision, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Candidate:
    """A copy that might go.

    Attributes:
        last_used: larger is later; a monotonic clock and a rank do equally.
        held: loaded models read from it, here or in another process.
    """

    key: str
    size_bytes: int
    last_used: tuple[float, int]
    pinned: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """What bounds the copies.

    Attributes:
        limit_bytes: what all copies may take.
        used_bytes: what they take.
        file_system_bytes: free on the file system.
        memory_bytes: main memory that is available above the floor; negative where the floor is not kept even now.
    """

    limit_bytes: int
    used_bytes: int
    file_system_bytes: int
    memory_bytes: int

    @property
    def free_bytes(self) -> int:
        """What could be copied now; negative where copies would have to go anyway."""
        return min(self.limit_bytes - self.used_bytes, self.file_system_bytes, self.memory_bytes)

    def bound(self) -> str:
        """The bound that is reached first, in words."""
        if self.free_bytes == self.limit_bytes - self.used_bytes:
            return f"the copies may take {self.limit_bytes} bytes and take {self.used_bytes} (ramdisk.size_gib)"
        if self.free_bytes == self.file_system_bytes:
            return f"the RAM disk has {self.file_system_bytes} bytes free"
        return f"main memory has {max(0, self.memory_bytes)} bytes above the floor (ramdisk.floor_gib)"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done.

    Attributes:
        victims: keys, the least recently used first.
        refusal: why there cannot be room; empty when there can.
    """

    victims: tuple[str, ...] = ()
    refusal: str = ""


def make_room(candidates: Sequence[Candidate], wanted_bytes: int, room: Room) -> Decision:
    """Choose the least recently used copies that are neither pinned nor held, and no more than are needed.

    What is larger than the limit is refused before any copy goes for it.
    """
    needed = wanted_bytes - room.free_bytes
    if needed <= 0:
        return Decision()
    loose = sorted((c for c in candidates if not c.pinned and not c.held), key=lambda c: c.last_used)
    chosen: list[Candidate] = []
    freed = 0
    for candidate in loose:
        if freed >= needed:
            break
        chosen.append(candidate)
        freed += candidate.size_bytes
    if freed < needed:
        return Decision(refusal=_refusal(candidates, wanted_bytes, room, freed_bytes=freed))
    for candidate in reversed(chosen.copy()):  # a large one at the end may make earlier ones needless
        if freed - candidate.size_bytes >= needed:
            chosen.remove(candidate)
            freed -= candidate.size_bytes
    return Decision(tuple(c.key for c in chosen))


def _refusal(candidates: Sequence[Candidate], wanted_bytes: int, room: Room, *, freed_bytes: int) -> str:
    missing = wanted_bytes - room.free_bytes - freed_bytes
    staying = sum(c.size_bytes for c in candidates if c.pinned or c.held)
    text = f"{wanted_bytes} bytes are needed and {missing} are missing: {room.bound()}"
    if freed_bytes:
        text += f"; {freed_bytes} could be freed"
    if staying:
        text += f"; {staying} are pinned or in use"
    return text
