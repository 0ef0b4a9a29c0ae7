"""How well a memory fits a question by itself, whatever others do: what decides whether anything is recalled.

A rank cannot tell: the best of many memories that have nothing to do with a question is still the best. The numbers
were chosen so that of ten questions about what was never mentioned nine get nothing (docs/benchmarks/memory.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEANING: Final = 0.6  # what the nearest possible meaning is worth, where all words of a question are worth 1
FARTHEST: Final = -0.5  # below it, farther makes no difference
ASKING: Final = 0.7  # who asked the same once did not tell the answer
ASSISTANT: Final = 0.8  # an assistant says much that fits many questions
# The more memories there are, the nearer the nearest of those comes that have nothing to do with a question.
MANY: Final = 300  # for so many, and more, the numbers above hold
SPREAD: Final = 0.12  # of unrelated cosines: their deviation, as a share of what lies above `related_from`
LEAST_EASE: Final = 0.3
NEIGHBOUR: Final = 0.8  # an answer stands beside what was asked, and need not share a word with it


def fits_of(
    share: NDArray[np.float32],
    cosines: NDArray[np.float32] | None,
    related_from: float,
    *,
    count: int,
    asking: NDArray[np.bool_],
    by_assistant: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """From 0, which has nothing to do with the question, to 1: shape (memories,).

    Args:
        share: how much of the question each has words for, 0 to 1.
        cosines: how near each is in meaning, and no number where that is not known; `None` without an embedder.
        related_from: the cosine from which texts are about the same thing.
        count: how many memories the owner has; of a few, less is enough.
        asking: which of them ask something themselves.
        by_assistant: which of them an assistant said.
    """
    fits = share.copy()
    if cosines is not None:
        related_from -= SPREAD * (1 - related_from) * (_expected_most(MANY) - _expected_most(count))
        related = np.clip((cosines - related_from) / (1 - related_from), FARTHEST, 1)
        fits += MEANING * np.nan_to_num(related)
    fits *= np.where(asking, ASKING, 1) * np.where(by_assistant, ASSISTANT, 1)
    ease = min(1.0, max(LEAST_EASE, math.log(max(count, 1)) / math.log(MANY)))
    clipped: NDArray[np.float32] = np.clip(fits / ease, 0, 1).astype(np.float32)
    return clipped


def _expected_most(count: int) -> float:
    """About how many deviations above the mean the greatest of so many chance values is."""
    return math.sqrt(2 * math.log(min(max(count, 2), MANY)))
