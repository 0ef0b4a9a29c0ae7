"""Groups of vectors that mean alike, and the middle of each: spherical k-means, the same at every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS: Final = 20
SHARE: Final = 0.1  # of a group that stands for it


def cluster_count(count: int, *, divisor: int, least: int, most: int) -> int:
    """How many groups so many sentences make: one for each `divisor` of them, within the bounds."""
    return min(max(least, count // divisor), most, count)


def clusters_of(vectors: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """A number of its group for each vector.

    It begins with vectors that are far from each other, so that nothing is left to chance.

    Args:
        vectors: of length 1: shape (vectors, dimensions).
        count: of groups, 1 to the number of vectors.
    """
    centres = vectors[_far_apart(vectors, count)]
    groups = np.full(len(vectors), -1, dtype=np.int64)
    for _ in range(ROUNDS):
        nearest = np.argmax(vectors @ centres.T, axis=1)
        if np.array_equal(nearest, groups):
            break
        groups = nearest
        for n in range(count):
            inside = vectors[groups == n]
            if len(inside):  # a group that lost all of its own keeps its centre
                centres[n] = _unit(inside.sum(axis=0))
    return groups


def middle_of(vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> list[int]:
    """The places of the vectors nearest to the middle of each group, a tenth of it but one at least; ascending."""
    found: list[int] = []
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        nearness = vectors[places] @ _unit(vectors[places].sum(axis=0))
        best = np.argsort(-nearness, kind="stable")[: int(np.ceil(SHARE * len(places)))]
        found += places[best].tolist()
    return sorted(found)


def _far_apart(vectors: NDArray[np.float32], count: int) -> list[int]:
    """The vector nearest to the middle of all, and then each time the one farthest from those before."""
    chosen = [int(np.argmax(vectors @ vectors.sum(axis=0)))]
    nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        nearest[chosen] = np.inf
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    return chosen


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
