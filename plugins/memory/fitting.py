"""How well a memory fits a question by itself, whatever others do: what decides whether anything is recalled.

A rank cannot tell: the best of many memories that have nothing to do with a question is still the best. The numbers
were chosen so that of ten questions about what was never mentioned nine get nothing (docs/benchmarks/memory.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEANING: Final = 0.6  # what the nearest possible meaning is worth, where all words of a question are worth 1
FARTHEST: Final = -0.5  # below it, farther makes no difference
ASKING: Final = 0.7  # who asked the same once did not tell the answer
ASSISTANT: Final = 0.8  # an assistant says much that fits many questions
NEIGHBOUR: Final = 0.8  # an answer stands beside what was asked, and need not share a word with it


def fits_of(
    share: NDArray[np.float32],
    cosines: NDArray[np.float32] | None,
    related_from: float,
    *,
    asking: NDArray[np.bool_],
    by_assistant: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """From 0, which has nothing to do with the question, to 1: shape (memories,).

    Args:
        share: how much of the question each has words for, 0 to 1.
        cosines: how near each is in meaning, and no number where that is not known; `None` without an embedder.
        related_from: the cosine from which texts are about the same thing.
        asking: which of them ask something themselves.
        by_assistant: which of them an assistant said.
    """
    fits = share.copy()
    if cosines is not None:
        related = np.clip((cosines - related_from) / (1 - related_from), FARTHEST, 1)
        fits += MEANING * np.nan_to_num(related)
    fits *= np.where(asking, ASKING, 1) * np.where(by_assistant, ASSISTANT, 1)
    return np.clip(fits, 0, 1).astype(np.float32)
