"""How likely a chosen token was, and which others were likely at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LOWEST = -9999.0  # JSON has no minus infinity; OpenAI writes this number


def logprob_of(logits: NDArray[np.float32], token: int, top: int, piece: Callable[[int], bytes]) -> frames.Logprob:
    """What the model itself thought of a token, before any sampler.

    Args:
        logits: the model's raw logits.
        token: the token that was chosen.
        top: how many of the likeliest tokens to name.
        piece: gives the bytes of a token.
    """
    highest = float(logits.max())
    log_sum = float(np.log(np.exp(logits - highest).sum(dtype=np.float64))) + highest

    def logprob(which: int) -> float:
        return max(float(logits[which]) - log_sum, LOWEST)

    likeliest = [frames.Alternative(piece(i), logprob(i)) for i in _likeliest(logits, top)]
    return frames.Logprob(piece(token), logprob(token), likeliest)


def _likeliest(logits: NDArray[np.float32], count: int) -> list[int]:
    """The tokens with the highest logits, the likeliest first."""
    count = min(count, logits.size)
    if count <= 0:
        return []
    some = np.argpartition(logits, logits.size - count)[logits.size - count :]
    # Equal logits are in the order of their numbers, so that the same request gets the same answer.
    order = np.lexsort((some, -logits[some]))
    return [int(i) for i in some[order]]
