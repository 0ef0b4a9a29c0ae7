"""How memories are ranked: what they share with the question in words and in meaning, and what stands beside them.

Pure functions on arrays; a candidate is an index into them. Weighted min-max fusion was measured better than reciprocal
rank fusion, for Japanese and for English (docs/benchmarks/memory.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP_OF_SESSION: Final = 3


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts.

    Attributes:
        dense: of meaning; words have the rest, 0 to 1.
        neighbour: what the better of the turns just before and after adds.
        session: what the best turns of the session add, in the mean.
        coverage: what it adds to have words for all of the question, however often and however rare they are.
        asking: what is taken off a memory that asks something itself: what was asked seldom answers.
        now: what it adds to look like how it is now, where a question asks for that.
        time: what it adds to be from the days that are asked for, or to speak of them, for what fits wholly.
    """

    dense: float = 0.6
    neighbour: float = 0.2
    session: float = 0.5
    asking: float = 0.15
    now: float = 0.6
    time: float = 2.0  # more than all else together
    coverage: float = 0.2


@dataclass(frozen=True, slots=True)
class Ranking:
    """The scores of all candidates, and their parts."""

    scores: NDArray[np.float32]
    lexical: NDArray[np.float32]
    dense: NDArray[np.float32]
    neighbour: NDArray[np.float32]
    session: NDArray[np.float32]


def rank(
    lexical: NDArray[np.float32],
    dense: NDArray[np.float32] | None,
    *,
    coverage: NDArray[np.float32],
    beside: NDArray[np.int64],
    sessions: NDArray[np.int64],
    asking: NDArray[np.bool_],
    weights: Weights,
    farthest: float = np.inf,
) -> Ranking:
    """Rank candidates.

    Args:
        lexical: BM25 of each; 0 where no word is shared.
        dense: cosines, and no number where there is no vector yet; `None` where there is no embedder.
        coverage: how much of the question each has words for, 0 to 1.
        beside: shape (candidates, 2): the candidates just before and after in the session; -1 where there is none.
        sessions: a number for the session of each.
        asking: which of them ask something themselves.
        weights: see there.
        farthest: the cosine of the farthest memory, candidate or not, as far as it is known.
    """
    # What shares nothing is the floor of both: candidates are the best few, and the least of them shares much.
    words = lexical / lexical.max(initial=np.finfo(np.float32).tiny)
    meaning = _known_or_words(dense, words, farthest) if dense is not None else np.zeros_like(lexical)
    share = weights.dense if dense is not None else 0.0
    fused = (1 - share) * words + share * meaning + weights.coverage * coverage
    near = best_neighbour(fused, beside)
    around = mean_of_best(fused, sessions)
    scores = fused + weights.neighbour * near + weights.session * around - weights.asking * asking
    return Ranking(scores, words, meaning, near, around)


def min_max(values: NDArray[np.float32], least: float = np.inf) -> NDArray[np.float32]:
    """The values stretched to 0 to 1, from `least` if that is less; all 0 where they are all equal."""
    if not len(values):
        return values
    low, high = min(values.min(), np.float32(least)), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _known_or_words(dense: NDArray[np.float32], words: NDArray[np.float32], farthest: float) -> NDArray[np.float32]:
    """Cosines stretched to 0 to 1. What has no vector yet is judged by its words alone.

    While all memories are embedded again, the old ones come last; as the farthest, none of them would be found.
    """
    known = np.isfinite(dense)
    found = words.copy()
    found[known] = min_max(dense[known], farthest)
    return found


def best_neighbour(scores: NDArray[np.float32], beside: NDArray[np.int64]) -> NDArray[np.float32]:
    """The better score of the two candidates beside each one; 0 where there is none."""
    with_none = np.append(scores, np.float32(0))  # which is what -1 leads to
    return np.maximum(with_none[beside[:, 0]], with_none[beside[:, 1]])


def mean_of_best(scores: NDArray[np.float32], sessions: NDArray[np.int64]) -> NDArray[np.float32]:
    """For each candidate, the mean of the best scores of its session."""
    order = np.lexsort((-scores, sessions))  # session by session, the best first
    begins = np.flatnonzero(np.diff(sessions[order], prepend=-1))
    lengths = np.diff(begins, append=len(order))
    place = np.arange(len(order)) - np.repeat(begins, lengths)
    sums = np.add.reduceat(np.where(place < TOP_OF_SESSION, scores[order], 0), begins) if len(order) else scores
    found = np.empty_like(scores)
    found[order] = np.repeat(sums / np.minimum(lengths, TOP_OF_SESSION), lengths)
    return found
