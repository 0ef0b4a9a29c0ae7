"""The KV cache: which sequence has which slot, and what is computed stays of use to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.worker.prefix_tree import PrefixTree, common_length
from hoshikage.plugins.engine_llamacpp.worker.whole_prefixes import WholePrefixes

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel
    from hoshikage.plugins.engine_llamacpp.worker.saved_states import SavedStates
    from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence

# Waiting for another sequence's prefill is worth a step only if it saves more than a few tokens.
SMALLEST_GAIN = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """The text of an ended slot."""

    slot: int
    scope: str
    tokens: list[int]


class KvCache:
    """Slots and cells of one context; the only writer of its memory.

    Args:
        reuses: whether what is computed is kept, and shared, at all.
        states: texts on file, which are of use like those in the cache.

    Attributes:
        changed: an answer has ended since somebody set this to false.
        n_restored: tokens that came from files.
    """

    def __init__(self, model: NativeModel, *, reuses: bool, states: SavedStates | None = None) -> None:
        self._model = model
        self._states = states if reuses else None
        self.changed = False
        self.n_restored = 0
        self._reuses = reuses
        self._free_slots = list(range(model.n_slots - 1, -1, -1))
        self._tree = PrefixTree() if model.cuttable else WholePrefixes()

    def n_used(self, running: Seq[Sequence]) -> int:
        """Cells that the running sequences hold together."""
        return self._tree.n_pinned_cells + self._n_ahead(running)

    def n_kept(self) -> int:
        """Cells that only ended sequences hold."""
        return self._tree.n_cells - self._tree.n_pinned_cells

    def admit(self, sequence: Sequence, running: Seq[Sequence]) -> None:
        """Give a sequence a slot, and join it to what is computed or is about to be."""
        if not self._free_slots:
            self._evict_oldest()
        sequence.slot = self._free_slots.pop()
        sequence.n_computed, sequence.joined = 0, False
        self._tree.pin(sequence.slot, _scope(sequence))
        self._restore(sequence, running)
        sequence.leader, sequence.leader_until = self._leader(sequence, running)
        if sequence.leader is not None and not self._model.cuttable:
            sequence.leader.pauses_at = sequence.leader_until
        if not sequence.blocked:
            self.join(sequence)

    def join(self, sequence: Sequence) -> None:
        """Let a sequence take over the longest beginning that is in the cache now."""
        assert sequence.slot is not None
        sequence.joined, sequence.leader = True, None
        if not self._reuses:
            return
        match = self._tree.match(_scope(sequence), sequence.tokens)
        if match.slot is not None:
            self._model.share(match.slot, sequence.slot, 0, match.length)
            self._tree.extend(sequence.slot, sequence.tokens, match.length)
            sequence.n_computed = match.length
            if not sequence.n_preempted:
                sequence.n_cached = match.length

    def note(self, sequence: Sequence) -> None:
        """Let others find what a sequence has computed; keep one copy of what two have computed."""
        assert sequence.slot is not None
        slot = sequence.slot
        for twice in self._tree.extend(slot, sequence.tokens, sequence.n_computed):
            self._model.free(slot, twice.start, twice.end)
            self._model.share(twice.donor, slot, twice.start, twice.end)

    def note_progress(self, sequence: Sequence) -> None:
        """As `note`, after each step, where it is worth it.

        What is said in an answer is of use to others once it has ended. But the length of a memory that cannot be
        cut must be known exactly.
        """
        if sequence.n_computed <= sequence.n_prompt or not self._model.cuttable:
            self.note(sequence)

    def rewind(self, sequence: Sequence) -> None:
        """Free what was computed beyond `n_computed`: guesses that were wrong, or a step that failed."""
        if sequence.slot is not None:
            self._model.free(sequence.slot, sequence.n_computed)

    def leave(self, sequence: Sequence) -> None:
        """Take the slot of a sequence that ends or waits; what it computed is kept until the room is needed."""
        assert sequence.slot is not None
        self.note(sequence)
        slot, sequence.slot = sequence.slot, None
        if not self._reuses or not self._tree.length(slot):
            self._release(slot)
            return
        self.changed = True
        for redundant in self._tree.keep(slot):
            self._forget(redundant)

    def kept_texts(self) -> list[Kept]:
        """What ended slots hold, the most recently used first."""
        return [Kept(slot, *self._tree.text(slot)) for slot in reversed(self._tree.kept)]

    def still_keeps(self, kept: Kept) -> bool:
        """Whether a slot still holds what it did."""
        return kept.slot in self._tree.kept and self._tree.text(kept.slot) == (kept.scope, kept.tokens)

    def make_room(self, n_tokens: int, running: Seq[Sequence]) -> None:
        """Give up kept beginnings, the least recently used first, until a step of so many tokens fits."""
        while self._tree.kept and self._tree.n_cells + self._n_ahead(running) + n_tokens > self._model.n_ctx:
            self._evict_oldest()

    def drop_kept(self) -> bool:
        """Give up everything that is only kept. Returns whether there was anything."""
        found = bool(self._tree.kept)
        while self._tree.kept:
            self._evict_oldest()
        return found

    def shared(self, sequence: Sequence, running: Seq[Sequence]) -> int:
        """How many tokens of a waiting sequence need no cells of its own, since running ones hold or compute them."""
        if not self._reuses or not self._model.cuttable:
            return 0
        held = self._tree.match(_scope(sequence), sequence.tokens).n_pinned
        _, ahead = self._leader(sequence, running)
        return max(held, ahead)

    def _restore(self, sequence: Sequence, running: Seq[Sequence]) -> None:
        """Bring back from file what the sequence can go on from, where that is more than the cache holds."""
        if self._states is None:
            return
        scope = _scope(sequence)
        known = self._tree.match(scope, sequence.tokens).length + SMALLEST_GAIN - 1
        saved = self._states.find(scope, sequence.tokens, longer_than=known, whole=not self._model.cuttable)
        if saved is None:
            return
        self.make_room(len(saved.tokens), running)
        fits = self._tree.n_cells + self._n_ahead(running) + len(saved.tokens) <= self._model.n_ctx
        if not fits or (not self._free_slots and not self._tree.kept):
            return
        memory = self._states.load(saved)
        if memory is None:
            return
        if not self._free_slots:
            self._evict_oldest()
        slot = self._free_slots.pop()
        if not self._model.restore(slot, memory):
            self._states.forget(saved)
            self._forget(slot)
            return
        self._tree.pin(slot, scope)
        for twice in self._tree.extend(slot, saved.tokens, len(saved.tokens)):
            self._model.free(slot, twice.start, twice.end)
            self._model.share(twice.donor, slot, twice.start, twice.end)
        for redundant in self._tree.keep(slot):
            self._forget(redundant)
        self.n_restored += len(saved.tokens)

    def _leader(self, sequence: Sequence, running: Seq[Sequence]) -> tuple[Sequence | None, int]:
        """The running sequence that is about to compute most of what this one needs, and how much that is."""
        if not self._reuses:
            return None, 0
        known = self._tree.match(_scope(sequence), sequence.tokens).length
        leader, longest = None, known + SMALLEST_GAIN - 1
        for other in running:
            if other.n_pending < 2 or _scope(other) != _scope(sequence):
                continue
            common = common_length(sequence.tokens, other.tokens, 0, len(sequence.tokens) - 1)
            if common > max(longest, other.n_computed):
                leader, longest = other, common
        return (leader, longest) if leader is not None else (None, 0)

    def _n_ahead(self, running: Seq[Sequence]) -> int:
        """Cells of running sequences that the tree does not know yet: what they have said."""
        return sum(s.n_computed - self._tree.length(s.slot) for s in running if s.slot is not None)

    def _evict_oldest(self) -> None:
        slot = self._tree.oldest_kept()
        assert slot is not None
        self._release(slot)

    def _release(self, slot: int) -> None:
        self._tree.release(slot)
        self._forget(slot)

    def _forget(self, slot: int) -> None:
        self._model.forget(slot)
        self._free_slots.append(slot)


def _scope(sequence: Sequence) -> str:
    """Adapters change what is computed, so nothing is shared across them."""
    return f"{sequence.scope}\0{sequence.adapters}"
