"""What our own ranking is compared with, written as plainly as it can be: BM25, vectors, and their weighted sum.

Each function gives the scores of all texts of a collection for each question: shape (questions, texts).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

K1, B = 1.2, 0.75


def bm25(texts: Sequence[str], questions: Sequence[str], terms: Callable[[str], Iterable[str]]) -> NDArray[np.float32]:
    """Okapi BM25 with the terms that a function finds in a text."""
    counted = [Counter(terms(text)) for text in texts]
    lengths = np.array([sum(count.values()) for count in counted], dtype=np.float32)
    postings: dict[str, list[tuple[int, int]]] = {}
    for n, count in enumerate(counted):
        for term, times in count.items():
            postings.setdefault(term, []).append((n, times))
    damping = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1e-9))
    scores = np.zeros((len(questions), len(texts)), dtype=np.float32)
    for row, question in enumerate(questions):
        for term in set(terms(question)):
            found = postings.get(term, [])
            weight = np.log(1 + (len(texts) - len(found) + 0.5) / (len(found) + 0.5))
            for n, times in found:
                scores[row, n] += weight * times * (K1 + 1) / (times + damping[n])
    return scores


def character_terms(text: str) -> list[str]:
    """Characters and pairs of characters, without spaces."""
    plain = "".join(text.split())
    return [*plain, *(plain[n : n + 2] for n in range(len(plain) - 1))]


def min_max_sum(first: NDArray[np.float32], second: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Both stretched to 0 to 1 for each question; the second with this share."""
    return (1 - share) * _stretched(first) + share * _stretched(second)


def with_priors(
    scores: NDArray[np.float32], sessions: Sequence[str], neighbour: float, session: float
) -> NDArray[np.float32]:
    """Add the better of the two turns beside each one, and the mean of the best three of its session."""
    names = np.array(sessions)
    same = names[1:] == names[:-1]
    before, after = np.zeros_like(scores), np.zeros_like(scores)
    before[:, 1:] = np.where(same, scores[:, :-1], 0)
    after[:, :-1] = np.where(same, scores[:, 1:], 0)
    around = np.zeros_like(scores)
    for name in dict.fromkeys(sessions):
        inside = names == name
        around[:, inside] = np.sort(scores[:, inside], axis=1)[:, -3:].mean(axis=1, keepdims=True)
    return scores + neighbour * np.maximum(before, after) + session * around


def _stretched(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    stretched: NDArray[np.float32] = (scores - low) / np.maximum(high - low, 1e-9)
    return stretched
