"""The store's own search under the benchmark: the ids are those of the texts, whatever is written twice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.memory.data import Question, Text
from benchmarks.memory.ours import OurMemory
from benchmarks.memory.tuning import GRID, Asked, weights_for_each
from hoshikage.plugins.memory.ranking import Weights
from hoshikage.plugins.memory.recalling import Bounds

TEXTS = [
    Text("t0", "My cat is called Kuro.", 1.0, "s"),
    Text("t1", "My cat is called Kuro.", 2.0, "s"),
    Text("t2", "The weather is fine.", 3.0, "s"),
    Text("t3", "I bought a red bicycle.", 4.0, "s2"),
]
VECTORS = np.eye(4, dtype=np.float32)


@pytest.fixture
def memory(tmp_path):
    with OurMemory(tmp_path / "m.db", TEXTS, VECTORS, 0.5) as opened:
        yield opened


def test_words(memory):
    """Without a vector, what shares words is found, and what is written twice is one memory."""
    assert "t0" == memory.order(memory.candidates("What is my cat called?", None), Weights())[0]
    assert "t1" not in memory.order(memory.candidates("What is my cat called?", None), Weights())


def test_meaning(memory):
    """The vector belongs to its text, though one before it was left out."""
    found = memory.candidates("Which vehicle?", VECTORS[3])

    assert ["t3"] == memory.chosen(found, Weights(), Bounds(1, threshold=0.3))


def test_nothing(memory):
    """What nobody said has no candidates."""
    assert [] == memory.order(memory.candidates("xylophone", None), Weights())


def test_weights_are_chosen_on_the_others(memory):
    """Each conversation gets what is best for the others, though something else is best for itself."""
    best = {0: GRID[3], 1: GRID[3], 2: GRID[7]}

    def asked(number):
        def order(_found, weights):
            return ["hit"] if weights == best[number] else ["miss"]

        return Asked([Question("?", frozenset({"hit"}))], [None], order)

    chosen = weights_for_each([asked(n) for n in range(3)], 1)

    assert GRID[3] == chosen[2]
    assert chosen[0] in {GRID[3], GRID[7]}
