"""The radix tree of computed tokens, against a list of texts that does the same slowly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker.prefix_tree import Overlap, PrefixTree, common_length
from hoshikage.plugins.engine_llamacpp.worker.whole_prefixes import WholePrefixes

TEXTS = st.lists(st.integers(0, 2), min_size=1, max_size=10)
ACTIONS = st.sampled_from(["pin", "extend", "keep", "release", "match"])


@given(st.lists(st.tuples(ACTIONS, TEXTS, st.integers(0, 5), st.sampled_from(["", "x"])), max_size=40))
@settings(max_examples=500, deadline=None)
def test_the_tree_knows_what_a_list_of_texts_knows(actions):
    """After any history: matches are the longest there are, and cells and pins are counted exactly."""
    tree, texts = PrefixTree(), Texts()
    for action, tokens, slot, scope in actions:
        if action == "pin" and slot not in texts.held:
            tree.pin(slot, scope)
            texts.pin(slot, scope)
        elif action == "extend" and slot in texts.running:
            longer = [*texts.held[slot], *tokens]
            tree.extend(slot, longer, len(longer))
            texts.held[slot] = longer
        elif action == "keep" and slot in texts.running:
            gone = tree.keep(slot)
            assert set(gone) == texts.keep(slot)
        elif action == "release" and slot in texts.held:
            tree.release(slot)
            texts.release(slot)
        else:
            match = tree.match(scope, tokens)
            assert texts.longest(scope, tokens) == match.length
            assert texts.longest(scope, tokens, texts.running) == match.n_pinned
            assert match.slot is None or texts.held[match.slot][: match.length] == tokens[: match.length]
        assert texts.n_cells(texts.held) == tree.n_cells
        assert texts.n_cells(texts.running) == tree.n_pinned_cells
        assert all(len(text) == tree.length(slot) for slot, text in texts.held.items())


class Texts:
    """What every slot holds, as plain lists."""

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {}
        self.scopes: dict[int, str] = {}
        self.running: set[int] = set()

    def pin(self, slot: int, scope: str) -> None:
        self.held[slot], self.scopes[slot] = [], scope
        self.running.add(slot)

    def keep(self, slot: int) -> set[int]:
        """Let a slot end. Returns the ended ones that hold nothing that it does not hold."""
        self.running.discard(slot)
        text = self.held[slot]
        others = set(self.held) - self.running - {slot}
        same = {o for o in others if self.scopes[o] == self.scopes[slot]}
        gone = {o for o in same if self.held[o] == text[: len(self.held[o])]}
        for other in gone:
            del self.held[other]
        return gone

    def release(self, slot: int) -> None:
        self.running.discard(slot)
        del self.held[slot]

    def longest(self, scope: str, tokens: list[int], slots: set[int] | None = None) -> int:
        those = [t for s, t in self.held.items() if self.scopes[s] == scope and (slots is None or s in slots)]
        return max((common_length(tokens, text, 0, len(tokens) - 1) for text in those), default=0)

    def n_cells(self, slots) -> int:
        """Different beginnings; each takes one cell."""
        return len({(self.scopes[s], *self.held[s][:end]) for s in slots for end in range(1, len(self.held[s]) + 1)})


def test_what_two_have_computed_is_reported():
    """Two sequences that computed the same tokens side by side are told apart from where they differ."""
    tree = PrefixTree()
    tree.pin(1, "")
    tree.pin(2, "")
    tree.extend(1, [1, 2, 3, 4], 4)

    assert [Overlap(0, 2, 1)] == tree.extend(2, [1, 2, 9, 9], 4)


def test_the_last_token_is_never_shared():
    """Without computing a token there would be nothing to choose the next one from."""
    tree = PrefixTree()
    tree.pin(1, "")
    tree.extend(1, [1, 2, 3], 3)

    assert 2 == tree.match("", [1, 2, 3]).length


@pytest.mark.parametrize(("tokens", "expected"), [([1, 2, 3, 4], 3), ([1, 2, 9, 4], 0), ([1, 2, 3], 0)])
def test_a_memory_that_cannot_be_cut_gives_only_the_whole(tokens, expected):
    """Only a prompt that begins with the slot's whole text and goes on can take it over."""
    whole = WholePrefixes()
    whole.pin(1, "")
    whole.extend(1, [1, 2, 3], 3)

    assert expected == whole.match("", tokens).length


def test_of_equal_whole_texts_one_is_kept():
    """The same text twice is of no more use than once."""
    whole = WholePrefixes()
    for slot in (1, 2):
        whole.pin(slot, "")
        whole.extend(slot, [1, 2], 2)
    whole.keep(1)

    assert [1] == whole.keep(2)
    assert (2,) == whole.kept
