"""What the next step computes: a pure decision over plain data. See `../design.md` for the rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.worker.sequence import Adapters, Sequence

SMALLEST_CHUNK = 16
REST = 4  # a last quarter of a chunk goes along: a step of its own would read all weights once more


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step may use.

    Attributes:
        n_cells: cells of the KV cache, shared by all sequences.
        n_batch: tokens in one step.
        max_num_seqs: sequences that run at once.
        prefill_chunk: prompt tokens in a step that others decode in, and a small rest more.
        prefill_alone: prompt tokens in a step that nobody decodes in, and a small rest more.
    """

    n_cells: int
    n_batch: int
    max_num_seqs: int
    prefill_chunk: int
    prefill_alone: int


@dataclass(frozen=True, slots=True)
class Work:
    """Compute the next `count` tokens of a sequence, and check `draft` guesses after them."""

    sequence: Sequence
    count: int
    draft: int = 0

    @property
    def completes(self) -> bool:
        """Whether the sequence can choose its next token after this."""
        return self.count == self.sequence.n_pending


@dataclass(slots=True)
class StepPlan:
    """The next step: who leaves (then nothing else happens), who joins, and what is computed."""

    preempted: Sequence | None = None
    admitted: list[Sequence] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    adapters: Adapters = ()

    @property
    def n_tokens(self) -> int:
        """Tokens in the step, which is also the cells it needs."""
        return sum(w.count + w.draft for w in self.work)


def plan_step(
    running: Seq[Sequence],
    waiting: Seq[Sequence],
    limits: Limits,
    *,
    n_used: int,
    shared: Callable[[Sequence], int],
    last_adapters: Adapters = (),
) -> StepPlan:
    """Decide the next step.

    Args:
        running: sequences with a slot, the oldest first.
        waiting: sequences without one, the next to join first.
        limits: the step's bounds.
        n_used: cells that the running ones hold together.
        shared: how many tokens of a waiting sequence those that run hold or are about to compute.
        last_adapters: those of the step before; sequences with other ones are next.
    """
    plan = StepPlan()
    if len(running) > 1 and n_used + sum(min(s.n_pending, 1) for s in running) > limits.n_cells:
        plan.preempted = running[-1]
        return plan
    plan.admitted = _admitted(running, waiting, limits, n_used, shared)
    everyone = [*running, *plan.admitted]
    plan.adapters = _next_adapters(everyone, last_adapters)
    turn = [s for s in everyone if s.adapters == plan.adapters and not s.blocked]
    _fill(plan, turn, limits, limits.n_cells - n_used)
    return plan


def _admitted(
    running: Seq[Sequence], waiting: Seq[Sequence], limits: Limits, n_used: int, shared: Callable[[Sequence], int]
) -> list[Sequence]:
    """Let sequences join, in order, as long as the whole of each fits beside the next cell of everyone.

    What is still to be prefilled of those that run is reserved, so that two long prompts do not meet halfway.
    """
    admitted: list[Sequence] = []
    reserved = n_used + sum(s.n_pending for s in running)
    for sequence in waiting:
        count = len(running) + len(admitted)
        if count >= limits.max_num_seqs:
            break
        needed = len(sequence.tokens) - (shared(sequence) if count else 0) + 1
        if count and reserved + needed > limits.n_cells:
            break
        admitted.append(sequence)
        reserved += needed
    return admitted


def _next_adapters(sequences: Seq[Sequence], last: Adapters) -> Adapters:
    """Take turns among the sets of adapters in use: one step computes with one set."""
    turns = list(dict.fromkeys(s.adapters for s in sequences))
    if not turns:
        return ()
    return turns[(turns.index(last) + 1) % len(turns)] if last in turns else turns[0]


def _fill(plan: StepPlan, turn: Seq[Sequence], limits: Limits, free: int) -> None:
    """Give every decoding sequence its one token, then prompts what is left, the oldest first, then guesses."""
    decoding = [s for s in turn if s.n_pending == 1][: limits.n_batch]
    free -= len(decoding)
    budget = limits.n_batch - len(decoding)
    chunk = limits.prefill_chunk if decoding else limits.prefill_alone
    wanted = sum(_up_to_pause(s) for s in turn if s.n_pending > 1)
    chunk = min(budget, wanted if wanted <= chunk + chunk // REST else chunk)
    prefill: list[Work] = []
    for s in turn:
        if s.n_pending > 1 and (count := min(_up_to_pause(s), chunk, free)) > 0:
            prefill.append(Work(s, count))
            budget, chunk, free = budget - count, chunk - count, free - count
    for s in decoding:
        draft = max(0, min(len(s.draft), budget, free))
        plan.work.append(Work(s, 1, draft))
        budget, free = budget - draft, free - draft
    plan.work += prefill


def _up_to_pause(sequence: Sequence) -> int:
    """Tokens to prefill before the place where a follower takes over."""
    ahead = sequence.pauses_at - sequence.n_computed
    return min(sequence.n_pending, ahead) if ahead > 0 else sequence.n_pending


def prefill_chunk(tokens_per_s: float, pause_s: float, *, longest: int) -> int:
    """Prompt tokens whose computing takes about `pause_s`, at least `SMALLEST_CHUNK`."""
    return max(min(int(tokens_per_s * pause_s), longest), min(SMALLEST_CHUNK, longest))
