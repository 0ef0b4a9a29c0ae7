"""The scheduler: simulated days of a worker, without a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker.scheduler import Limits, StepPlan, Work, cells_used, plan_step
from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence

EXAMPLES = 250
LIMITS = Limits(n_cells=100, n_batch=16, prefill_chunk=8, max_num_seqs=4)


# --- whole simulations ---


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_simulation_keeps_the_rules_and_ends(data):
    """Whatever arrives, grows and is cancelled: no bound is broken, every step works, and every answer ends."""
    limits = data.draw(limits_of())
    worker = Simulation(limits)
    arrivals = data.draw(st.lists(arrival(limits), min_size=1, max_size=12))
    # Each is the oldest at some time, is never taken out then, and has at most n_cells tokens to compute.
    bound = max(a.at for a in arrivals) + len(arrivals) * limits.n_cells

    while worker.unfinished() or arrivals:
        for due in [a for a in arrivals if a.at <= worker.steps]:
            arrivals.remove(due)
            worker.arrive(due)
        worker.cancel_due()
        worker.step()
        assert worker.steps <= bound, "a sequence starves"

    assert not worker.running
    assert not worker.waiting
    assert set(range(limits.max_num_seqs)) == set(worker.free_slots)


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_only_who_has_less_to_say_ends_before_the_oldest(data):
    """Where all answers run to the end of the context, nobody with as much left to say overtakes the first."""
    limits = data.draw(limits_of())
    prompts = data.draw(st.lists(st.integers(1, limits.n_cells - 1), min_size=2, max_size=6))
    worker = Simulation(limits)
    for n_prompt in prompts:
        worker.arrive(Arrival(0, n_prompt, limits.n_cells, None))

    ended: list[int] = []
    while worker.unfinished():
        present = {s.id for s in [*worker.running, *worker.waiting]}
        worker.step()
        ended += sorted(present - {s.id for s in [*worker.running, *worker.waiting]})

    first = ended.index(0)
    assert all(prompts[i] > prompts[0] for i in ended[:first])


@dataclass
class Arrival:
    """A request: when it comes, how long it is, and the step after which its caller leaves."""

    at: int
    n_prompt: int
    max_tokens: int
    cancelled_after: int | None


@dataclass
class Simulation:
    """Does with a plan what the worker's loop does, and checks every rule on the way."""

    limits: Limits
    running: list[Sequence] = field(default_factory=list)
    waiting: list[Sequence] = field(default_factory=list)
    free_slots: list[int] = field(default_factory=list)
    steps: int = 0
    cells: dict[int, list[int]] = field(default_factory=dict)
    leaves_at: dict[int, int] = field(default_factory=dict)
    n_arrived: int = 0

    def __post_init__(self) -> None:
        self.free_slots = list(range(self.limits.max_num_seqs))

    def unfinished(self) -> bool:
        return bool(self.running or self.waiting)

    def arrive(self, request: Arrival) -> None:
        room = self.limits.n_cells - request.n_prompt
        tokens = list(range(request.n_prompt))
        sequence = Sequence(self.n_arrived, tokens, request.n_prompt, min(request.max_tokens, room))
        if request.cancelled_after is not None:
            self.leaves_at[sequence.id] = self.steps + request.cancelled_after
        self.n_arrived += 1
        self.waiting.append(sequence)

    def cancel_due(self) -> None:
        gone = {number for number, step in self.leaves_at.items() if step <= self.steps}
        for sequence in [s for s in self.running if s.id in gone]:
            self.leave(sequence)
        self.waiting = [s for s in self.waiting if s.id not in gone]

    def step(self) -> None:
        self.steps += 1
        if not self.unfinished():
            return
        oldest = min([*self.running, *self.waiting], key=lambda s: s.id)
        plan = plan_step(self.running, self.waiting, self.limits)
        self.check(plan, oldest)
        for sequence in plan.preempted:
            self.vacate(sequence)
            sequence.n_computed = 0
            self.waiting.insert(0, sequence)
        for sequence in plan.admitted:
            self.waiting.remove(sequence)
            sequence.slot = self.free_slots.pop()
            self.cells[sequence.id] = []
            self.running.append(sequence)
        completing = [w.sequence for w in plan.work if w.completes]
        for work in plan.work:
            self.compute(work)
        assert cells_used(self.running) <= self.limits.n_cells
        for sequence in completing:
            sequence.tokens.append(len(sequence.tokens))
            if sequence.n_answer >= sequence.max_tokens:
                self.leave(sequence)
        ids = [s.id for s in [*self.running, *self.waiting]]
        assert sorted(ids) == ids, "someone has overtaken"

    def check(self, plan: StepPlan, oldest: Sequence) -> None:
        assert plan.work, "a step without work would spin for ever"
        assert sum(w.count for w in plan.work) <= self.limits.n_batch
        assert all(w.count >= 1 for w in plan.work)
        assert oldest not in plan.preempted
        assert oldest in [w.sequence for w in plan.work], "the oldest makes progress in every step"
        staying = [s for s in self.running if s not in plan.preempted]
        active = [*staying, *plan.admitted]
        assert len(active) <= self.limits.max_num_seqs
        assert {id(w.sequence) for w in plan.work} <= {id(s) for s in active}
        decoding = [s for s in active if s.n_pending == 1]
        worked = [w.sequence for w in plan.work]
        assert all(s in worked for s in decoding), "a decode is left out"
        prefilled = sum(w.count for w in plan.work if w.sequence not in decoding)
        if decoding:
            assert prefilled <= self.limits.prefill_chunk

    def compute(self, work: Work) -> None:
        s = work.sequence
        self.cells[s.id] += s.tokens[s.n_computed : s.n_computed + work.count]
        s.n_computed += work.count
        assert s.tokens[: s.n_computed] == self.cells[s.id], "tokens are computed in order, each once"

    def leave(self, sequence: Sequence) -> None:
        self.vacate(sequence)

    def vacate(self, sequence: Sequence) -> None:
        assert sequence.slot is not None
        self.running.remove(sequence)
        self.cells[sequence.id] = []
        self.free_slots.append(sequence.slot)
        sequence.slot = None


def limits_of() -> st.SearchStrategy[Limits]:
    """Bounds from the smallest that can work to ones where nothing is scarce."""

    def build(n_cells: int, n_batch: int, prefill_chunk: int, seqs: int) -> Limits:
        return Limits(n_cells, n_batch, prefill_chunk, min(seqs, n_batch))

    return st.builds(build, st.integers(4, 48), st.integers(1, 64), st.integers(1, 64), st.integers(1, 8))


def arrival(limits: Limits) -> st.SearchStrategy[Arrival]:
    """A request for these bounds: any prompt that fits, any end up to the end of the context."""
    return st.builds(
        Arrival,
        st.integers(0, 60),
        st.integers(1, limits.n_cells - 1),
        st.integers(1, limits.n_cells),
        st.none() | st.integers(0, 40),
    )


# --- single decisions ---


def test_a_prompt_takes_the_whole_batch_when_nobody_decodes():
    """Alone, a long prompt is prefilled `n_batch` tokens a step."""
    plan = plan_step([], [waiting(1, 60)], LIMITS)

    assert [16] == [w.count for w in plan.work]


def test_a_prompt_beside_a_decode_is_cut_into_chunks():
    """While another answer is being made, a prompt gets `prefill_chunk` tokens a step."""
    plan = plan_step([running(1, 10)], [waiting(2, 60)], LIMITS)

    assert [(1, 1), (2, 8)] == [(w.sequence.id, w.count) for w in plan.work]


def test_a_prompt_that_does_not_fit_beside_the_others_waits():
    """Two prompts that cannot both end their prefill do not meet halfway."""
    first = waiting(1, 60)

    plan = plan_step([], [first, waiting(2, 60)], LIMITS)

    assert [first] == plan.admitted


def test_a_short_prompt_does_not_overtake_one_that_waits_for_room():
    """The first in the queue is not starved by smaller ones behind it."""
    plan = plan_step([running(1, 60)], [waiting(2, 60), waiting(3, 2)], LIMITS)

    assert [] == plan.admitted


def test_a_full_cache_takes_out_the_youngest():
    """When not everyone can have a next cell, the one that came last gives back its cells."""
    oldest, middle, youngest = running(1, 50), running(2, 30), running(3, 20)

    plan = plan_step([oldest, middle, youngest], [], LIMITS)

    assert [youngest] == plan.preempted
    assert [oldest, middle] == [w.sequence for w in plan.work]


def test_nobody_joins_in_a_step_that_takes_someone_out():
    """A waiting sequence does not take the cells of the one that was just preempted for room."""
    plan = plan_step([running(1, 50), running(2, 50)], [waiting(3, 2)], LIMITS)

    assert ([2], []) == ([s.id for s in plan.preempted], plan.admitted)


def test_nobody_joins_when_all_slots_are_taken():
    """`max_num_seqs` bounds how many run at once."""
    plan = plan_step([running(i, 5) for i in range(4)], [waiting(4, 2)], LIMITS)

    assert [] == plan.admitted


def waiting(number: int, n_prompt: int) -> Sequence:
    """A sequence without a slot."""
    return Sequence(number, list(range(n_prompt)), n_prompt, 1000)


def running(number: int, n_computed: int) -> Sequence:
    """A sequence with all but its last token computed."""
    return Sequence(number, list(range(n_computed + 1)), n_computed, 1000, n_computed=n_computed, slot=number)
