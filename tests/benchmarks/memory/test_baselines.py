"""What our ranking is compared with, on numbers that can be followed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.memory.baselines import bm25, character_terms, min_max_sum, with_priors


def test_bm25():
    """A rare word weighs more than a common one; of two texts with it, the shorter one is better."""
    found = bm25(["cat dog", "cat cat bird fish", "cat"], ["bird", "cat", "horse"], str.split)

    assert [1] == [n for n in range(3) if found[0, n] > 0]
    assert found[1, 2] > found[1, 0]
    assert [0, 0, 0] == found[2].tolist()
    assert found[0, 1] == pytest.approx(np.log(1 + 2.5 / 1.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 4 / (7 / 3))))


def test_characters_and_pairs():
    """Spaces are no characters, and nothing is between them."""
    assert ["猫", "と", "犬", "猫と", "と犬"] == character_terms("猫 と犬")


def test_min_max_sum():
    """Each row is stretched by itself; a row of equal scores is nothing."""
    found = min_max_sum(np.array([[0.0, 10.0], [5.0, 5.0]]), np.array([[0.8, 0.6], [0.1, 0.3]]), 0.25)

    assert [[0.25, 0.75], [0.0, 0.25]] == found.tolist()


def test_priors_stay_in_their_session():
    """A neighbour in another session is none; the best three of a session lift all of it."""
    found = with_priors(np.array([[1.0, 0.0, 0.0, 0.0]]), ["a", "a", "b", "b"], neighbour=0.5, session=0.3)

    assert pytest.approx([1.0 + 0.15, 0.5 + 0.15, 0.0, 0.0]) == found[0].tolist()
