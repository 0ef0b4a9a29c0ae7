"""Groups of vectors, and the middle of each."""

from __future__ import annotations

import numpy as np
import pytest

from hoshikage.plugins.memory.digests.clusters import cluster_count, clusters_of, middle_of


@pytest.mark.parametrize(
    ("count", "divisor", "least", "most", "groups"),
    [
        (250, 100, 1, 20, 2),
        (50, 100, 1, 20, 1),
        (5000, 100, 1, 20, 20),
        (50, 10, 3, 20, 5),
        (2, 10, 3, 20, 2),
        (9, 1, 5, 3, 3),
    ],
)
def test_how_many_groups(count, divisor, least, most, groups):
    """One for each so many, within the bounds, and never more than there are."""
    assert groups == cluster_count(count, divisor=divisor, least=least, most=most)


def bunches(*sizes: int, spread: float = 0.05) -> np.ndarray:
    """Vectors around as many directions as there are sizes."""
    chance = np.random.default_rng(7)
    rows = [np.eye(8)[n] + spread * chance.standard_normal(8) for n, size in enumerate(sizes) for _ in range(size)]
    return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


def test_what_is_alike_is_in_one_group():
    """And what is not is in another one, however many there are of each."""
    groups = clusters_of(bunches(40, 3, 10), 3)

    assert [1, 1, 1] == [len(set(part)) for part in (groups[:40], groups[40:43], groups[43:])]
    assert 3 == len(set(groups))


def test_it_is_the_same_every_time():
    """Nothing is left to chance."""
    vectors = bunches(30, 30, 30, spread=0.8)

    assert np.array_equal(clusters_of(vectors, 5), clusters_of(vectors.copy(), 5))


@pytest.mark.parametrize("vectors", [np.ones((5, 4), np.float32) / 2, np.zeros((5, 4), np.float32), bunches(1)])
def test_vectors_that_tell_nothing(vectors):
    """All the same, all nothing, or one alone."""
    groups = clusters_of(vectors, min(3, len(vectors)))

    assert len(vectors) == len(groups)
    assert middle_of(vectors, groups)


def test_a_tenth_of_each_group_stands_for_it():
    """One at least; in the order in which they stand."""
    vectors = bunches(40, 3)
    places = middle_of(vectors, clusters_of(vectors, 2))

    assert sorted(places) == places
    assert (4, 1) == (sum(place < 40 for place in places), sum(place >= 40 for place in places))


def test_the_middle_is_nearest_to_all():
    """The one that the others are around."""
    vectors = np.array([[1, 0.3], [1, 0], [1, -0.3]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    assert [1] == middle_of(vectors, np.zeros(3, dtype=np.int64))
