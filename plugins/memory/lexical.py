"""How well words fit: BM25 over the memories of one owner, and how much of a question a memory has words for."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.text import content_of, terms_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

K1: Final = 1.2
B: Final = 0.75
# A term that is in more than this share of many memories tells little, and takes most of the time of a search.
COMMON_SHARE: Final = 0.02
COMMON_FROM: Final = 5_000
LEAST_TERMS: Final = 4


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
        return math.log(1 + (self.count - n + 0.5) / (n + 0.5))


def telling(statistics: Statistics) -> list[str]:
    """The terms to search for: those that are there, without what is everywhere, the rarest first."""
    there = sorted((n, term) for term, n in statistics.containing.items() if n)
    limit = COMMON_SHARE * statistics.count if statistics.count >= COMMON_FROM else statistics.count
    rare = [term for n, term in there if n <= limit]
    return rare if len(rare) >= LEAST_TERMS else [term for _, term in there[:LEAST_TERMS]]


def bm25(texts: Sequence[str], statistics: Statistics) -> NDArray[np.float32]:
    """The score of each text for the question whose terms the statistics know."""
    return np.array([_score(Counter(terms_of(text)), statistics) for text in texts], dtype=np.float32)


def coverage(texts: Sequence[str], statistics: Statistics) -> NDArray[np.float32]:
    """How much of what the question is about, by the weight of its terms, each text has: 0 to 1."""
    about = content_of(statistics.containing) or statistics.containing.keys()
    weights = {term: statistics.weight(term) for term in about}
    whole = sum(weights.values())
    if not whole:
        return np.zeros(len(texts), dtype=np.float32)
    found = [sum(weights[term] for term in weights.keys() & set(terms_of(text))) / whole for text in texts]
    return np.array(found, dtype=np.float32)


def _score(counts: Counter[str], statistics: Statistics) -> float:
    length = counts.total() / statistics.mean_length if statistics.mean_length else 1.0
    damping = K1 * (1 - B + B * length)
    return sum(
        statistics.weight(term) * counts[term] * (K1 + 1) / (counts[term] + damping)
        for term in statistics.containing
        if counts[term]
    )
