"""The cache of models whose memory cannot be cut: only a slot's whole text can be taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.worker.prefix_tree import Match

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.worker.prefix_tree import Overlap


class WholePrefixes:
    """Stands in for `PrefixTree` with recurrent, hybrid and sliding-window models.

    What such a model remembers of a text is a state at its end, or the last window before it. So a prompt can go on
    from a slot only where the slot's whole text is its beginning. Cells are counted once for each slot.
    """

    def __init__(self) -> None:
        self._texts: dict[int, tuple[str, list[int]]] = {}
        self._pinned: set[int] = set()
        self._kept: dict[int, None] = {}  # ordered: the least recently used first

    @property
    def n_cells(self) -> int:
        """Cells that all slots hold together, at most."""
        return sum(len(tokens) for _, tokens in self._texts.values())

    @property
    def n_pinned_cells(self) -> int:
        """Cells that running slots hold together, at most."""
        return sum(len(self._texts[slot][1]) for slot in self._pinned)

    @property
    def kept(self) -> Seq[int]:
        """The ended slots, the least recently used first."""
        return tuple(self._kept)

    def length(self, slot: int) -> int:
        """How many tokens a slot holds."""
        return len(self._texts[slot][1])

    def text(self, slot: int) -> tuple[str, list[int]]:
        """The scope of a slot, and its tokens."""
        scope, tokens = self._texts[slot]
        return scope, list(tokens)

    def match(self, scope: str, tokens: Seq[int]) -> Match:
        """Find the longest whole text of a slot that `tokens` begins with and goes beyond."""
        best = Match()
        for slot, (its_scope, text) in self._texts.items():
            size = len(text)
            if its_scope == scope and best.length < size < len(tokens) and tokens[:size] == text:
                best = Match(size, slot)
        return best

    def pin(self, slot: int, scope: str) -> None:
        """Begin to use a free slot."""
        self._texts[slot] = (scope, [])
        self._pinned.add(slot)

    def extend(self, slot: int, tokens: Seq[int], length: int) -> list[Overlap]:
        """Note that a running slot now holds the first `length` of `tokens`. Nothing can be merged."""
        text = self._texts[slot][1]
        text += tokens[len(text) : length]
        return []

    def keep(self, slot: int) -> list[int]:
        """Unpin an ended slot, as the most recently used; none is redundant, since each ends elsewhere.

        Returns:
            A kept slot with the very same text, which was let go.
        """
        self._pinned.discard(slot)
        twins = [other for other in self._kept if self._texts[other] == self._texts[slot]]
        for twin in twins:
            self.release(twin)
        self._kept[slot] = None
        return twins

    def release(self, slot: int) -> None:
        """Forget a slot, kept or running."""
        self._pinned.discard(slot)
        self._kept.pop(slot, None)
        del self._texts[slot]

    def oldest_kept(self) -> int | None:
        """The ended slot that was used least recently."""
        return next(iter(self._kept), None)
