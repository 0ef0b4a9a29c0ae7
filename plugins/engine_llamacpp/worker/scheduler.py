"""What the next step computes: a pure decision over plain data. See `../design.md` for the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step may use.

    Attributes:
        n_cells: cells of the KV cache, shared by all sequences.
        n_batch: tokens in one step.
        prefill_chunk: prompt tokens in a step that others decode in.
        max_num_seqs: sequences that run at once.
    """

    n_cells: int
    n_batch: int
    prefill_chunk: int
    max_num_seqs: int


@dataclass(frozen=True, slots=True)
class Work:
    """Compute the next `count` tokens of a sequence."""

    sequence: Sequence
    count: int

    @property
    def completes(self) -> bool:
        """Whether the sequence can choose its next token after this."""
        return self.count == self.sequence.n_pending


@dataclass(slots=True)
class StepPlan:
    """The next step: who leaves, who joins, and what is computed, in that order."""

    preempted: list[Sequence] = field(default_factory=list)
    admitted: list[Sequence] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)


def plan_step(running: Seq[Sequence], waiting: Seq[Sequence], limits: Limits) -> StepPlan:
    """Decide the next step.

    Args:
        running: sequences with a slot, the oldest first.
        waiting: sequences without one, the next to join first.
        limits: the step's bounds.
    """
    plan = StepPlan()
    staying = _make_room(running, limits, plan)
    if not plan.preempted:
        _admit(staying, waiting, limits, plan)
    _fill([*staying, *plan.admitted], limits, plan)
    return plan


def cells_used(sequences: Seq[Sequence]) -> int:
    """Cells that these sequences hold."""
    return sum(s.n_computed for s in sequences)


def _make_room(running: Seq[Sequence], limits: Limits, plan: StepPlan) -> list[Sequence]:
    """Take out the youngest until each of the others can have its next cell. The oldest always stays."""
    staying = list(running)
    while len(staying) > 1 and cells_used(staying) + len(staying) > limits.n_cells:
        plan.preempted.append(staying.pop())
    return staying


def _admit(staying: Seq[Sequence], waiting: Seq[Sequence], limits: Limits, plan: StepPlan) -> None:
    """Let sequences join, in order, as long as the whole of each fits beside the next cell of everyone.

    What is still to be prefilled of those that run is reserved, so that two long prompts do not meet halfway.
    """
    reserved = sum(len(s.tokens) for s in staying) + len(staying)
    for sequence in waiting:
        count = len(staying) + len(plan.admitted)
        needed = len(sequence.tokens) + 1
        if count >= limits.max_num_seqs or (count and reserved + needed > limits.n_cells):
            return
        plan.admitted.append(sequence)
        reserved += needed


def _fill(sequences: Seq[Sequence], limits: Limits, plan: StepPlan) -> None:
    """Give every decoding sequence its one token, then prompts what is left, the oldest first."""
    decoding = [s for s in sequences if s.n_pending == 1]
    prefilling = [s for s in sequences if s.n_pending > 1]
    plan.work.extend(Work(s, 1) for s in decoding[: limits.n_batch])
    budget = limits.n_batch - len(plan.work)
    if decoding:
        budget = min(budget, limits.prefill_chunk)
    free = limits.n_cells - cells_used(sequences) - len(plan.work)
    for sequence in prefilling:
        count = min(sequence.n_pending, budget, free)
        if count <= 0:
            return
        plan.work.append(Work(sequence, count))
        budget, free = budget - count, free - count
