"""How well words fit: BM25 over the memories of one owner, and how much of a question a memory has words for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.text import content_of, count_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

K1: Final = 1.2
B: Final = 0.75
# A term that is in more than this share of many memories tells little, and takes most of the time of a search.
COMMON_SHARE: Final = 0.01
COMMON_FROM: Final = 300
LEAST_TERMS: Final = 4
# In how few memories a word is says nothing of it until there are some: "cat" in one of two is not common.
LEAST_COUNT: Final = 50


@dataclass(frozen=True, slots=True)
class Statistics:
    """What BM25 must know of the memories of an owner.

    Attributes:
        count: how many there are.
        mean_length: in terms.
        containing: in how many each term of the question is.
    """

    count: int
    mean_length: float
    containing: Mapping[str, int]

    def weight(self, term: str) -> float:
        """The inverse document frequency; terms of no memory weigh most, as what they ask for is not there."""
        n = self.containing.get(term, 0)
        return math.log(1 + (max(self.count, LEAST_COUNT) - n + 0.5) / (n + 0.5))


def telling(statistics: Statistics) -> list[str]:
    """The terms to search for: those that are there, without what is everywhere, the rarest first."""
    there = sorted((n, term) for term, n in statistics.containing.items() if n)
    limit = max(COMMON_FROM, COMMON_SHARE * statistics.count)
    rare = [term for n, term in there if n <= limit]
    return rare if len(rare) >= LEAST_TERMS else [term for _, term in there[:LEAST_TERMS]]


def score(texts: Sequence[str], lengths: Sequence[int], statistics: Statistics) -> NDArray[np.float32]:
    """BM25 of each text, and its share of the question: shape (2, texts).

    The share is how much of what the question is about a text has, by the weight of the terms: 0 to 1.

    Args:
        texts: candidates, normalised.
        lengths: of each, in terms.
        statistics: they know the terms of the question.
    """
    terms = list(statistics.containing)
    if not terms:
        return np.zeros((2, len(texts)), dtype=np.float32)
    weights = np.array([statistics.weight(term) for term in terms], dtype=np.float32)
    about = content_of(terms) or set(terms)
    shares = weights * np.array([term in about for term in terms], dtype=np.float32)
    counts = count_terms(terms, texts)
    mean = statistics.mean_length or 1.0
    damping = K1 * (1 - B + B * np.array(lengths, dtype=np.float32)[:, None] / mean)
    # Not by `@`: see `cosines_with` in index/vectors.py.
    bm25 = np.einsum("ij,j->i", counts * (K1 + 1) / (counts + damping), weights)
    return np.stack([bm25, np.einsum("ij,j->i", (counts > 0).astype(np.float32), shares) / shares.sum()])
