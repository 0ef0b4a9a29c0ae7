"""A radix tree over the token ids in the KV cache: who holds which beginning, and what can be given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Sequence as Seq


@dataclass(slots=True, eq=False)
class Node:
    """A run of tokens that the same slots hold; its path from the root is a beginning of all their texts.

    Attributes:
        tokens: the run.
        end: how many tokens the path has, this run included.
        parent: `None` for a root and for a node that was taken out.
        children: the runs that go on from here, by their first token.
        holders: slots whose text goes through here or ends here.
        tips: those of them that end here.
        n_pins: how many of the holders are running.
    """

    tokens: list[int]
    end: int
    parent: Node | None
    children: dict[int, Node] = field(default_factory=dict)
    holders: set[int] = field(default_factory=set)
    tips: set[int] = field(default_factory=set)
    n_pins: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """The longest computed beginning of a prompt.

    Attributes:
        length: its tokens.
        slot: a slot that holds it; `None` where there is none.
        n_pinned: those of the tokens that running sequences hold, so that taking them over costs no cells.
    """

    length: int = 0
    slot: int | None = None
    n_pinned: int = 0


@dataclass(frozen=True, slots=True)
class Overlap:
    """Tokens `start` to `end` of a slot that another slot had computed already: one copy is enough."""

    start: int
    end: int
    donor: int


class PrefixTree:
    """Everything in the cache, by its tokens. Scopes are kept apart: nobody finds what stands in another one.

    Running slots are pinned. Ended ones are kept until their cells or their numbers are needed.
    """

    def __init__(self) -> None:
        self._roots: dict[str, Node] = {}
        self._ends: dict[int, Node] = {}
        self._pinned: set[int] = set()
        self._kept: dict[int, None] = {}  # ordered: the least recently used first
        self._n_cells = 0
        self._n_pinned_cells = 0

    @property
    def n_cells(self) -> int:
        """Cells that all slots hold together."""
        return self._n_cells

    @property
    def n_pinned_cells(self) -> int:
        """Cells that running slots hold together."""
        return self._n_pinned_cells

    @property
    def kept(self) -> Seq[int]:
        """The ended slots, the least recently used first."""
        return tuple(self._kept)

    def length(self, slot: int) -> int:
        """How many tokens of a slot stand in the tree."""
        return self._ends[slot].end

    def text(self, slot: int) -> tuple[str, list[int]]:
        """The scope of a slot, and its tokens."""
        runs = [node.tokens for node in self._path(slot)]
        root = list(self._path(slot))[-1]
        scope = next(scope for scope, other in self._roots.items() if other is root)
        return scope, [token for run in reversed(runs) for token in run]

    def match(self, scope: str, tokens: Seq[int]) -> Match:
        """Find the longest beginning of `tokens` that is in the cache.

        The last token is never part of it: it must be computed for the first choice to have logits.
        """
        best = Match()
        node, at, limit = self._roots.get(scope), 0, len(tokens) - 1
        while node is not None and at < limit and (child := node.children.get(tokens[at])):
            common = common_length(tokens, child.tokens, at, limit)
            at += common
            best = Match(at, next(iter(child.holders)), best.n_pinned + (common if child.n_pins else 0))
            node = child if common == len(child.tokens) else None
        return best

    def pin(self, slot: int, scope: str) -> None:
        """Begin to use a free slot."""
        root = self._roots.setdefault(scope, Node([], 0, None))
        self._ends[slot] = root
        self._pinned.add(slot)
        root.holders.add(slot)
        root.tips.add(slot)
        root.n_pins += 1

    def extend(self, slot: int, tokens: Seq[int], length: int) -> list[Overlap]:
        """Note that a running slot now holds the first `length` of `tokens`.

        Returns:
            What others had computed already; the caller gives the slot their cells in place of its own.
        """
        node = self._ends[slot]
        overlaps: list[Overlap] = []
        node.tips.discard(slot)
        while node.end < length:
            child = node.children.get(tokens[node.end])
            if child is None:
                node = self._grow(node, slot, list(tokens[node.end : length]))
                continue
            child, donor = self._follow(child, slot, common_length(tokens, child.tokens, node.end, length))
            overlaps.append(Overlap(node.end, child.end, donor))
            node = child
        node.tips.add(slot)
        self._ends[slot] = node
        return overlaps

    def keep(self, slot: int) -> list[int]:
        """Unpin an ended slot, as the most recently used.

        Returns:
            Kept slots that were let go because this one holds all that they hold.
        """
        self._pinned.discard(slot)
        redundant: list[int] = []
        for node in self._path(slot):
            node.n_pins -= 1
            if not node.n_pins:
                self._n_pinned_cells -= len(node.tokens)
            redundant += [tip for tip in node.tips if tip in self._kept]
        self._kept[slot] = None
        for other in redundant:
            self.release(other)
        return redundant

    def release(self, slot: int) -> None:
        """Forget a slot, kept or running; runs that nobody holds any more leave the tree."""
        running = slot in self._pinned
        self._pinned.discard(slot)
        self._kept.pop(slot, None)
        for node in list(self._path(slot)):
            node.holders.discard(slot)
            node.tips.discard(slot)
            if running:
                node.n_pins -= 1
                self._n_pinned_cells -= 0 if node.n_pins else len(node.tokens)
            if not node.holders:
                self._remove(node)
        del self._ends[slot]

    def oldest_kept(self) -> int | None:
        """The ended slot that was used least recently."""
        return next(iter(self._kept), None)

    # --- inside ---

    def _follow(self, node: Node, slot: int, common: int) -> tuple[Node, int]:
        """Take a slot through the first `common` tokens of a run. Returns that part, and who had it before."""
        if common < len(node.tokens):
            node = self._split(node, common)
        donor = next(iter(node.holders))
        node.holders.add(slot)
        node.n_pins += 1
        self._n_pinned_cells += len(node.tokens) if node.n_pins == 1 else 0
        return node, donor

    def _grow(self, node: Node, slot: int, tokens: list[int]) -> Node:
        """Add tokens that nobody has: to the node itself where it is the slot's own, else as a new run."""
        self._n_cells += len(tokens)
        self._n_pinned_cells += len(tokens)
        if node.parent is not None and node.holders == {slot}:
            node.tokens += tokens
            node.end += len(tokens)
            return node
        grown = Node(tokens, node.end + len(tokens), node, holders={slot}, n_pins=1)
        node.children[tokens[0]] = grown
        return grown

    def _split(self, node: Node, at: int) -> Node:
        """Cut a run in two. Returns the upper part; the lower one stays what it was, for those that end there."""
        assert node.parent is not None
        upper = Node(node.tokens[:at], node.end - len(node.tokens) + at, node.parent, n_pins=node.n_pins)
        upper.holders |= node.holders
        upper.children[node.tokens[at]] = node
        node.parent.children[node.tokens[0]] = upper
        node.tokens = node.tokens[at:]
        node.parent = upper
        return upper

    def _remove(self, node: Node) -> None:
        if node.parent is None:
            self._roots = {scope: root for scope, root in self._roots.items() if root is not node}
            return
        self._n_cells -= len(node.tokens)
        del node.parent.children[node.tokens[0]]
        node.parent = None

    def _path(self, slot: int) -> Iterator[Node]:
        node: Node | None = self._ends[slot]
        while node is not None:
            above = node.parent
            yield node
            node = above


def common_length(tokens: Seq[int], run: Seq[int], at: int, limit: int) -> int:
    """How many tokens of `run` agree with `tokens` from `at` on, before `limit`."""
    longest = min(len(run), limit - at)
    if tokens[at : at + longest] == run[:longest]:  # the usual case, compared at the speed of C
        return longest
    return next(i for i in range(longest) if tokens[at + i] != run[i])
