"""The rows of memory: how well it finds, how fast, and whether anything is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.memory.rows.index import Churn, IndexChoice
from benchmarks.memory.rows.jsquad import JSQuAD
from benchmarks.memory.rows.latency import Latency
from benchmarks.memory.rows.locomo import LoCoMo
from benchmarks.memory.rows.people import People
from benchmarks.memory.rows.server import ComputedAgain, FirstToken, Kills

if TYPE_CHECKING:
    from benchmarks.memory.ground import Ground
    from benchmarks.memory.rows.base import MemoryRow


def memory_rows(ground: Ground) -> list[MemoryRow]:
    """Every row, in the order in which they run."""
    return [
        People(ground),
        JSQuAD(ground),
        LoCoMo(ground),
        Latency(ground, 100),
        Latency(ground, 1),
        IndexChoice(ground),
        Churn(ground),
        Kills(ground),
        FirstToken(ground),
        ComputedAgain(ground),
    ]
