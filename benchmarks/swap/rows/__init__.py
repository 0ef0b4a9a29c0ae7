"""The rows of changing between models, the ones with a peer first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.swap.rows.back import Back, Restart
from benchmarks.swap.rows.big_file import BigFileLoad
from benchmarks.swap.rows.many_swaps import ManySwaps
from benchmarks.swap.rows.prediction import Prediction
from benchmarks.swap.rows.resize import Resize
from benchmarks.swap.rows.swap import Swap

if TYPE_CHECKING:
    from benchmarks.rows.base import Row
    from benchmarks.swap.ground import Ground


def swap_rows(ground: Ground) -> list[Row]:
    """Every row, in the order in which they run."""
    return [
        Swap(ground),
        Back(ground),
        Restart(ground),
        BigFileLoad(ground),
        Resize(ground),
        ManySwaps(ground),
        Prediction(ground),
    ]
