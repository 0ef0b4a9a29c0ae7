"""Which spaces are searched exactly, and which by an index that is due to be made or dropped: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hoshikage.plugins.memory.index.records import Indexed, Space

Way = Literal["exact", "chroma"]

# What came after an index was made is searched exactly beside it, until it is this much: then the index is made anew.
REST_SHARE: Final = 0.1
REST_LEAST: Final = 1_000
HYSTERESIS: Final = 0.8  # an index stays while a space shrinks a little: to make one takes minutes


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings that decide: `memory.index` and `memory.exact_up_to`."""

    index: Literal["auto", "exact", "chroma"]
    exact_up_to: int

    def way(self, vectors: int, *, indexed: bool) -> Way:
        """How a space of so many vectors is searched, given whether it has an index now."""
        if self.index != "auto":
            return self.index
        limit = self.exact_up_to * (HYSTERESIS if indexed else 1.0)
        return "chroma" if vectors > limit else "exact"


def stale(rows: Sequence[Indexed], versions: Collection[tuple[int, int]]) -> list[Indexed]:
    """The indexes that hold something deleted or edited since they were made."""
    return [row for row in rows if row.version not in versions]


def unwanted(rows: Sequence[Indexed], spaces: Sequence[Space], *, embedder: int, choice: Choice) -> list[Indexed]:
    """The indexes of other embedders, and of spaces that are searched exactly from now on."""
    sizes = {space.number: space.vectors for space in spaces}
    return [
        row for row in rows if row.embedder != embedder or choice.way(sizes.get(row.space, 0), indexed=True) == "exact"
    ]


def due(rows: Sequence[Indexed], spaces: Sequence[Space], choice: Choice) -> list[Space]:
    """The spaces whose index is to be made, or made anew because much came after it; the largest first."""
    known = {row.space: row for row in rows}

    def is_due(space: Space) -> bool:
        row = known.get(space.number)
        if choice.way(space.vectors, indexed=row is not None) == "exact":
            return False
        if row is None:
            return True
        rest = space.vectors - row.count
        return space.newest > row.newest and rest > max(REST_LEAST, REST_SHARE * row.count)

    return sorted(filter(is_due, spaces), key=lambda space: -space.vectors)
