"""A KV cache without a model: which slot holds which token at which position, in how many cells."""

from __future__ import annotations

import itertools


class Memory:
    """Does what llama.cpp's memory does for `KvCache`, and refuses what llama.cpp would get wrong.

    Args:
        n_ctx: its cells.
        n_slots: its slots.
        cuttable: whether it can hand on and give back parts of a slot.
    """

    def __init__(self, n_ctx: int, n_slots: int, *, cuttable: bool = True) -> None:
        self.n_ctx = n_ctx
        self.n_slots = n_slots
        self.cuttable = cuttable
        self._numbers = itertools.count()
        self._slots: dict[int, dict[int, tuple[int, int]]] = {slot: {} for slot in range(n_slots)}

    def compute(self, slot: int, start: int, tokens: list[int]) -> None:
        """Compute tokens of a slot: each takes a new cell."""
        held = self._slots[slot]
        assert sorted(held) == list(range(start)), f"slot {slot} has {sorted(held)}, and goes on at {start}"
        for position, token in enumerate(tokens, start):
            held[position] = (next(self._numbers), token)
        assert self.n_cells() <= self.n_ctx, "llama.cpp would find no room"

    def text(self, slot: int) -> list[int]:
        """The tokens that a slot holds, in order."""
        held = self._slots[slot]
        assert sorted(held) == list(range(len(held))), "a hole in the text"
        return [held[position][1] for position in sorted(held)]

    def n_cells(self) -> int:
        """Cells in use; shared ones once."""
        return len({cell for held in self._slots.values() for cell, _ in held.values()})

    # --- what KvCache calls ---

    def share(self, source: int, slot: int, start: int, end: int) -> None:
        """As `NativeModel.share`."""
        donor = self._slots[source]
        if not self.cuttable:
            assert (start, end) == (0, len(donor)), "only the whole can be handed on"
            assert not self._slots[slot]
        for position in range(start, end):
            assert position not in self._slots[slot], "two cells for one position"
            self._slots[slot][position] = donor[position]

    def forget(self, slot: int) -> None:
        """As `NativeModel.forget`."""
        self._slots[slot].clear()

    def free(self, slot: int, start: int, end: int = -1) -> None:
        """As `NativeModel.free`."""
        held = self._slots[slot]
        gone = [position for position in held if position >= start and (end < 0 or position < end)]
        assert self.cuttable or not gone, "a state cannot be cut"
        for position in gone:
            del held[position]
