"""How good an order of found texts is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection as Several
    from collections.abc import Sequence

    from numpy.typing import NDArray


def recall_at(found: Sequence[str], evidence: Several[str], k: int) -> float:
    """The share of the evidence that is among the first k."""
    return len(set(found[:k]) & set(evidence)) / len(evidence)


def best_of(scores: NDArray[np.float32], ids: Sequence[str], k: int) -> list[list[str]]:
    """The ids of the best k texts for each question: of equal ones, the first."""
    return [[ids[n] for n in np.argsort(-row, kind="stable")[:k]] for row in scores]


def mean_recall(found: Sequence[Sequence[str]], evidence: Sequence[Several[str]], k: int) -> float:
    """The mean over questions, in per cent."""
    return 100 * float(np.mean([recall_at(f, e, k) for f, e in zip(found, evidence, strict=True)]))
