"""Weights for a conversation that are chosen on all others."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.memory.quality import mean_recall
from hoshikage.plugins.memory.ranking import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.memory.data import Question
    from hoshikage.plugins.memory.candidates import Candidates

GRID: Final = tuple(
    Weights(dense, neighbour, session, asking, coverage=coverage)
    for dense, neighbour, session, asking, coverage in itertools.product(
        (0.5, 0.6), (0.3, 0.5), (0.5, 0.8, 1.2), (0.15, 0.25), (0.0, 0.2)
    )
)
# Of the baseline: the share of meaning, the neighbour and the session. It gets more to choose from, as it is faster.
BASELINE_GRID: Final = tuple(itertools.product((0.3, 0.4, 0.5, 0.6), (0.1, 0.2, 0.3, 0.5), (0.1, 0.2, 0.3, 0.5, 0.8)))


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions to a conversation, and what is ranked for each.

    Attributes:
        order: puts candidates in order by weights: ids, the best first.
    """

    questions: Sequence[Question]
    found: Sequence[Candidates | None]
    order: Callable[[Candidates | None, Weights], list[str]]

    def recall(self, weights: Weights, k: int) -> float:
        """The mean share of the evidence among the first k, in per cent."""
        found = [self.order(candidates, weights) for candidates in self.found]
        return mean_recall(found, [question.evidence for question in self.questions], k)


def weights_for_each(conversations: Sequence[Asked], k: int) -> list[Weights]:
    """For each conversation the weights of the grid that are best on the others, in the mean over their questions."""
    recalls = [[asked.recall(weights, k) for weights in GRID] for asked in conversations]
    return [GRID[n] for n in best_elsewhere(recalls, [len(asked.questions) for asked in conversations])]


def best_elsewhere(recalls: Sequence[Sequence[float]], sizes: Sequence[int]) -> list[int]:
    """For each conversation, which choice is best on all others.

    Args:
        recalls: of each conversation, by each choice.
        sizes: how many questions each has, which is how heavy it is.
    """
    totals = np.array(recalls) * np.array(sizes)[:, None]
    return [int(np.argmax(totals.sum(axis=0) - row)) for row in totals]
