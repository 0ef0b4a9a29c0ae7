"""Ranking: words and meaning stretched to one scale, and what stands beside a good match."""

from __future__ import annotations

import numpy as np
import pytest

from hoshikage.plugins.memory.ranking import Weights, best_neighbour, mean_of_best, min_max, rank


def floats(*values: float):
    return np.array(values, dtype=np.float32)


def of_three(words, meaning, weights, *, asking=(False, False, False), coverage=(0, 0, 0)):
    """Three candidates, none beside another one, each in a session of its own."""
    alone = np.array([[-1, -1]] * 3)
    return rank(
        words,
        meaning,
        coverage=floats(*coverage),
        beside=alone,
        sessions=np.arange(3),
        asking=np.array(asking),
        weights=weights,
    )


@pytest.mark.parametrize(
    ("values", "stretched"), [((2, 4, 3), (0, 1, 0.5)), ((5, 5), (0, 0)), ((-1, 0), (0, 1)), ((), ())]
)
def test_min_max(values, stretched):
    """The least is 0 and the most is 1; where all are equal, none is better."""
    assert list(stretched) == list(min_max(floats(*values)))


def test_words_alone_where_there_is_no_meaning():
    """Without an embedder nothing is divided between the two."""
    found = of_three(floats(0, 3, 1.5), None, Weights(0.5, 0, 0))

    assert [0, 1, 0.5] == list(found.scores)


def test_both_are_weighed():
    """A third of the weight is that of meaning."""
    words, meaning = floats(0, 10, 5), floats(0.9, 0.5, 0.7)
    found = of_three(words, meaning, Weights(0.25, 0, 0))

    assert [0.25, 0.75, 0.5] == list(found.scores)


def test_more_words_of_the_question_are_better_than_one_often():
    """Of two that are alike by BM25, the one that has words for more of the question comes first."""
    found = of_three(floats(2, 2, 0), None, Weights(0.5, 0, 0, coverage=0.25), coverage=(0.5, 1, 0))

    assert [1.125, 1.25, 0] == list(found.scores)


def test_what_asks_is_behind_what_tells():
    """Of two that fit alike, the one that asks something itself is no answer."""
    words = floats(2, 2, 0)
    found = of_three(words, None, Weights(0.5, 0, 0, asking=0.25), asking=(True, False, False))

    assert [0.75, 1, 0] == list(found.scores)


def test_the_better_neighbour_counts():
    """An answer that shares no word with the question stands beside it."""
    beside = np.array([[-1, 1], [0, 2], [1, -1], [-1, -1]])

    assert pytest.approx([0.0, 1.0, 0.0, 0.0]) == list(best_neighbour(floats(1, 0, 0.5, 0.7), beside))


def test_a_good_session_lifts_all_of_it():
    """The mean of its three best; a session of one is as good as that one."""
    found = mean_of_best(floats(1, 0.8, 0.6, 0.1, 0.5), np.array([7, 7, 7, 7, 8]))

    assert pytest.approx([0.8, 0.8, 0.8, 0.8, 0.5]) == list(found)


def test_nothing_to_rank():
    """No candidate is no error."""
    empty = floats()
    found = rank(
        empty,
        None,
        coverage=empty,
        beside=np.zeros((0, 2), int),
        sessions=np.zeros(0, int),
        asking=np.zeros(0, bool),
        weights=Weights(),
    )

    assert 0 == len(found.scores)


def test_what_has_no_vector_yet_is_judged_by_its_words():
    """While all memories are embedded again, the old ones come last; none of them must be lost by that."""
    words = np.array([4, 3, 0, 0], dtype=np.float32)
    cosines = np.array([np.nan, 0.5, 0.6, np.nan], dtype=np.float32)
    alone, none = np.full((4, 2), -1), np.zeros(4, bool)
    found = rank(
        words,
        cosines,
        coverage=np.zeros(4, np.float32),
        beside=alone,
        sessions=np.arange(4),
        asking=none,
        weights=Weights(),
    )

    assert [1.0, 0.0, 1.0, 0.0] == found.dense.tolist()
    assert 0 == int(np.argmax(found.scores))
