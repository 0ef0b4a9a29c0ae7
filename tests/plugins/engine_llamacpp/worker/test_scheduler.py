"""Scheduler and cache together: simulated days of a worker, without a model."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker.cache import KvCache
from hoshikage.plugins.engine_llamacpp.worker.scheduler import Limits, StepPlan, plan_step, prefill_chunk
from hoshikage.plugins.engine_llamacpp.worker.sequence import Adapters, Sequence
from tests.plugins.engine_llamacpp.worker.memory import Memory

EXAMPLES = 200
LIMITS = Limits(n_cells=100, n_batch=16, max_num_seqs=4, prefill_chunk=8, prefill_alone=12)
ADAPTERS: list[Adapters] = [(), (), (("a", 1.0),)]


# --- whole simulations ---


@pytest.mark.parametrize("cuttable", [True, False])
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_simulation_keeps_the_rules_and_ends(data, cuttable):
    """Whatever arrives, shares, guesses and is cancelled: no bound is broken, no token lost, every answer ends."""
    limits = data.draw(limits_of())
    worker = Simulation(limits, n_kept=data.draw(st.integers(0, 6)), cuttable=cuttable, reuses=data.draw(st.booleans()))
    arrivals = data.draw(st.lists(arrival(limits), min_size=1, max_size=12))
    # Each is the oldest at some time, is never taken out then, and has at most n_cells tokens to compute; with
    # adapters it shares its turns with one other set, and it waits at most for those before it.
    bound = max(a.at for a in arrivals) + 2 * len(arrivals) * limits.n_cells

    while worker.unfinished() or arrivals:
        for due in [a for a in arrivals if a.at <= worker.steps]:
            arrivals.remove(due)
            worker.arrive(due)
        worker.cancel_due()
        worker.step()
        assert worker.steps <= bound, "a sequence starves"

    assert not worker.running
    assert not worker.waiting
    assert 0 == worker.cache.n_used(())
    worker.cache.drop_kept()
    assert 0 == worker.memory.n_cells(), "a cell has leaked"
    assert 0 == worker.cache.n_kept()


@given(prefix=st.integers(20, 60), n_users=st.integers(2, 8))
def test_a_common_beginning_is_computed_once(prefix, n_users):
    """Users who arrive together with one system prompt compute it once, and each only the own rest."""
    worker = Simulation(Limits(400, 64, 8, 16, 32), n_kept=0)
    for user in range(n_users):
        worker.arrive(Arrival(0, [*range(prefix), *range(1000 + 5 * user, 1005 + 5 * user)], 3, None))
    while worker.unfinished():
        worker.step()

    decoded = n_users * 2  # the last token of three is never computed
    assert prefix + 5 * n_users + decoded == worker.n_computed


def test_a_conversation_computes_only_what_is_new():
    """Each turn takes over the one before it, with its answer."""
    worker = Simulation(Limits(400, 64, 4, 16, 32), n_kept=4)
    text: list[int] = []
    for turn in range(5):
        text = [*text, *range(100 * turn, 100 * turn + 7)]
        before = worker.n_computed
        worker.arrive(Arrival(0, list(text), 4, None))
        while worker.unfinished():
            worker.step()
        text = worker.ended[-1].tokens
        # The last token of an answer is chosen, not computed: the next turn has it in its prompt.
        assert 7 + 3 + (1 if turn else 0) == worker.n_computed - before


def test_scopes_share_nothing():
    """A caller who is kept apart finds nothing of the others."""
    worker = Simulation(Limits(400, 64, 4, 64, 64), n_kept=4)
    for scope in ("one", "other"):
        worker.arrive(Arrival(0, list(range(40)), 1, None, scope=scope))
        while worker.unfinished():
            worker.step()

    assert [0, 0] == [s.n_cached for s in worker.ended]


def test_the_least_recently_used_goes_first():
    """When room runs out, what was used last stays."""
    worker = Simulation(Limits(100, 64, 4, 64, 64), n_kept=4)
    for first in (0, 100, 0, 200):  # the second use of 0 makes 100 the oldest
        worker.arrive(Arrival(0, list(range(first, first + 40)), 1, None))
        while worker.unfinished():
            worker.step()
    worker.arrive(Arrival(0, list(range(41)), 1, None))
    while worker.unfinished():
        worker.step()

    assert 40 == worker.ended[-1].n_cached


@dataclass
class Arrival:
    """A request: when it comes, what it says, and the step after which its caller leaves.

    Attributes:
        guesses: lengths of the guesses that are made for it; every second one is right.
    """

    at: int
    prompt: list[int]
    max_tokens: int
    cancelled_after: int | None
    scope: str = ""
    adapters: Adapters = ()
    guesses: int = 0


class Simulation:
    """Does with a plan what the worker's loop does, and checks every rule on the way."""

    def __init__(self, limits: Limits, *, n_kept: int, cuttable: bool = True, reuses: bool = True) -> None:
        self.limits = limits
        self.memory = Memory(limits.n_cells, limits.max_num_seqs + n_kept, cuttable=cuttable)
        self.cache = KvCache(self.memory, reuses=reuses)
        self.running: list[Sequence] = []
        self.waiting: list[Sequence] = []
        self.ended: list[Sequence] = []
        self.steps = 0
        self.n_computed = 0
        self.adapters: Adapters = ()
        self._leaves_at: dict[int, int] = {}
        self._guesses: dict[int, int] = {}
        self._n_arrived = 0

    def unfinished(self) -> bool:
        return bool(self.running or self.waiting)

    def arrive(self, request: Arrival) -> None:
        room = self.limits.n_cells - len(request.prompt)
        sequence = Sequence(
            self._n_arrived,
            list(request.prompt),
            len(request.prompt),
            min(request.max_tokens, room),
            scope=request.scope,
            adapters=request.adapters,
        )
        if request.cancelled_after is not None:
            self._leaves_at[sequence.id] = self.steps + request.cancelled_after
        self._guesses[sequence.id] = request.guesses if self.memory.cuttable else 0
        self._n_arrived += 1
        self.waiting.append(sequence)

    def cancel_due(self) -> None:
        gone = {number for number, step in self._leaves_at.items() if step <= self.steps}
        for sequence in [s for s in self.running if s.id in gone]:
            self.leave(sequence)
        self.waiting = [s for s in self.waiting if s.id not in gone]

    def step(self) -> None:
        self.steps += 1
        if not self.unfinished():
            return
        oldest = min([*self.running, *self.waiting], key=lambda s: s.id)
        plan = self.next_plan(oldest)
        self.check(plan, oldest)
        self.cache.make_room(plan.n_tokens, self.running)
        chosen = [w for w in plan.work if w.completes]
        for work in plan.work:
            s = work.sequence
            tokens = s.tokens[s.n_computed : s.n_computed + work.count] + s.draft[: work.draft]
            assert s.slot is not None
            self.memory.compute(s.slot, s.n_computed, tokens)
            self.n_computed += len(tokens)
            s.n_computed += work.count
            self.cache.note_progress(s)
        for work in chosen:
            self.advance(work.sequence, work.draft)
        for s in self.running:
            assert s.tokens[: s.n_computed] == self.memory.text(s.slot), "a token is lost, or stands twice"
        assert self.cache.n_used(self.running) + self.cache.n_kept() >= self.memory.n_cells()
        if self.memory.cuttable:
            assert self.cache.n_used(self.running) + self.cache.n_kept() == self.memory.n_cells()

    def next_plan(self, oldest: Sequence) -> StepPlan:
        for s in self.running:
            if not s.joined and not s.blocked:
                self.cache.join(s)
        plan = self.planned(self.waiting)
        while plan.preempted is not None:
            assert oldest is not plan.preempted
            assert not plan.admitted
            self.running.remove(plan.preempted)
            self.cache.leave(plan.preempted)
            plan.preempted.n_computed, plan.preempted.draft = 0, []
            plan.preempted.n_preempted += 1
            self.waiting.insert(0, plan.preempted)
            plan = self.planned([])
        for s in plan.admitted:
            self.waiting.remove(s)
            self.cache.admit(s, self.running)
            self.running.append(s)
        return self.planned([]) if plan.admitted else plan

    def planned(self, waiting: list[Sequence]) -> StepPlan:
        return plan_step(
            self.running,
            waiting,
            self.limits,
            n_used=self.cache.n_used(self.running),
            shared=lambda s: self.cache.shared(s, self.running),
            last_adapters=self.adapters,
        )

    def check(self, plan: StepPlan, oldest: Sequence) -> None:
        assert plan.work, "a step without work would spin for ever"
        assert plan.n_tokens <= self.limits.n_batch
        assert all(w.count >= 1 for w in plan.work)
        assert len(self.running) <= self.limits.max_num_seqs
        assert {plan.adapters} == {w.sequence.adapters for w in plan.work}, "one step, one set of adapters"
        worked = [w.sequence for w in plan.work]
        if plan.adapters == oldest.adapters:
            assert oldest in worked, "the oldest makes progress in every step of its turn"
        else:
            assert self.adapters != plan.adapters, "turns are taken"
        turn = [s for s in self.running if s.adapters == plan.adapters]
        assert all(s in worked for s in turn if s.n_pending == 1 and not s.blocked), "a decode is left out"
        assert all(w.completes for w in plan.work if w.draft), "a guess goes with a choice"
        prefilled = sum(w.count for w in plan.work if w.sequence.n_pending > 1)
        decodes = any(w.sequence.n_pending == 1 for w in plan.work)
        chunk = self.limits.prefill_chunk if decodes else self.limits.prefill_alone
        if prefilled > chunk:
            assert prefilled <= 1.25 * chunk, "more than a small rest goes along"
            assert all(s.blocked or s in worked for s in turn if s.n_pending > 1), "a rest is left"
        self.adapters = plan.adapters

    def advance(self, s: Sequence, n_drafted: int) -> None:
        """Choose as a model does that says `n + 1` after n tokens, so that what comes next is known."""
        draft, s.draft = s.draft[:n_drafted], []
        for guess in [*draft, None]:
            s.tokens.append(len(s.tokens))
            if s.n_answer >= s.max_tokens or s.tokens[-1] != guess:
                break
            s.n_computed += 1
        if draft:
            self.cache.rewind(s)
        if s.n_answer >= s.max_tokens:
            self.leave(s)
            self.ended.append(s)
            return
        length = min(self._guesses[s.id], s.max_tokens - s.n_answer - 1)
        right = self.steps % 2 == 0
        s.draft = [len(s.tokens) + i + (0 if right or i == 0 else 1) for i in range(length)]

    def leave(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self.cache.leave(sequence)


def limits_of() -> st.SearchStrategy[Limits]:
    """Bounds from the smallest that can work to ones where nothing is scarce."""

    def build(n_cells: int, n_batch: int, seqs: int, chunk: int, alone: int) -> Limits:
        return Limits(n_cells, n_batch, min(seqs, n_batch), chunk, alone)

    sizes = st.integers(1, 64)
    return st.builds(build, st.integers(4, 64), sizes, st.integers(1, 8), sizes, sizes)


def arrival(limits: Limits) -> st.SearchStrategy[Arrival]:
    """A request for these bounds: any prompt that fits, some of which begin alike; any end of the context."""

    def build(at: int, family: int, common: int, rest: int, **fields: object) -> Arrival:
        tokens = [family * 1000 + i for i in range(common)] + [rest * 100 + i for i in range(limits.n_cells)]
        return Arrival(at, tokens[: fields.pop("n_prompt")], **fields)

    return st.builds(
        build,
        at=st.integers(0, 60),
        family=st.integers(1, 2),
        common=st.integers(0, 40),
        rest=st.integers(50, 53),
        n_prompt=st.integers(1, limits.n_cells - 1),
        max_tokens=st.integers(1, limits.n_cells),
        cancelled_after=st.none() | st.integers(0, 40),
        scope=st.sampled_from(["", "", "x"]),
        adapters=st.sampled_from(ADAPTERS),
        guesses=st.sampled_from([0, 0, 3, 20]),
    )


# --- single decisions ---


def planned(running: list[Sequence], waiting: list[Sequence], limits: Limits = LIMITS, shared: int = 0) -> StepPlan:
    n_used = sum(s.n_computed for s in running)
    return plan_step(running, waiting, limits, n_used=n_used, shared=lambda _: shared)


def test_a_prompt_takes_a_large_part_of_the_batch_when_nobody_decodes():
    """Alone, a long prompt is prefilled `prefill_alone` tokens a step."""
    assert [12] == [w.count for w in planned([], [waiting(1, 60)]).work]


def test_a_prompt_beside_a_decode_is_cut_into_chunks():
    """While another answer is being made, a prompt gets `prefill_chunk` tokens a step."""
    plan = planned([running(1, 10)], [waiting(2, 60)])

    assert [(1, 1), (2, 8)] == [(w.sequence.id, w.count) for w in plan.work]


@pytest.mark.parametrize(("n_pending", "expected"), [(8, 8), (10, 10), (11, 8)])
def test_a_small_rest_goes_along(n_pending: int, expected: int):
    """The last quarter of a chunk is not worth a step of its own."""
    plan = planned([running(1, 10)], [waiting(2, n_pending)])

    assert [(1, 1), (2, expected)] == [(w.sequence.id, w.count) for w in plan.work]


def test_a_prompt_that_does_not_fit_beside_the_others_waits():
    """Two prompts that cannot both end their prefill do not meet halfway."""
    first = waiting(1, 60)

    assert [first] == planned([], [first, waiting(2, 60)]).admitted


def test_a_prompt_fits_if_others_hold_most_of_it():
    """What running sequences hold already takes no room."""
    assert [2] == [s.id for s in planned([running(1, 60)], [waiting(2, 60)], shared=40).admitted]


def test_a_short_prompt_does_not_overtake_one_that_waits_for_room():
    """The first in the queue is not starved by smaller ones behind it."""
    assert [] == planned([running(1, 60)], [waiting(2, 60), waiting(3, 2)]).admitted


def test_a_full_cache_takes_out_the_youngest():
    """When not everyone can have a next cell, the one that came last gives back its cells, and nobody joins."""
    oldest, middle, youngest = running(1, 50), running(2, 30), running(3, 20)

    plan = planned([oldest, middle, youngest], [waiting(4, 2)])

    assert (youngest, [], []) == (plan.preempted, plan.admitted, plan.work)


def test_nobody_joins_when_all_slots_are_taken():
    """`max_num_seqs` bounds how many run at once."""
    assert [] == planned([running(i, 5) for i in range(4)], [waiting(4, 2)]).admitted


def test_guesses_come_after_all_prompts():
    """A guess may be wrong, a prompt is wanted: it takes only what is left of the batch."""
    guessing = running(1, 10)
    guessing.draft = [1] * 10

    plan = planned([guessing], [waiting(2, 60)])

    assert [(1, 1, 7), (2, 8, 0)] == [(w.sequence.id, w.count, w.draft) for w in plan.work]


def test_sets_of_adapters_take_turns():
    """Sequences with another set than the last one are computed in the next step."""
    one, other = running(1, 5), running(2, 5)
    other.adapters = (("a", 1.0),)

    first = plan_step([one, other], [], LIMITS, n_used=10, shared=lambda _: 0)
    second = plan_step([one, other], [], LIMITS, n_used=10, shared=lambda _: 0, last_adapters=first.adapters)

    assert [[2], [1]] == [[w.sequence.id for w in plan.work] for plan in (first, second)]


@pytest.mark.parametrize(("speed", "expected"), [(1000.0, 250), (10.0, 16), (1e9, 512)])
def test_a_chunk_takes_as_long_as_the_pause(speed, expected):
    """A fast machine computes more of a prompt in one pause, within the batch; a slow one at least a little."""
    assert expected == prefill_chunk(speed, 0.25, longest=512)


def waiting(number: int, n_prompt: int) -> Sequence:
    """A sequence without a slot."""
    return Sequence(number, list(range(n_prompt)), n_prompt, 1000)


def running(number: int, n_computed: int) -> Sequence:
    """A sequence with all but its last token computed."""
    tokens = list(range(n_computed + 1))
    return Sequence(number, tokens, n_computed, 1000, n_computed=n_computed, slot=number, joined=True)
