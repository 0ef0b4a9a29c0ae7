"""Admission: first in, first out, and no place is ever lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage import ModelRecord
from hoshikage.core.admission import Admission
from hoshikage.core.demand import Demand
from hoshikage.core.errors import AdmissionTimeout, ModelLoadFailed, QueueFull
from hoshikage.core.settings import AdmissionSettings
from tests.core.pipelines import residence_of
from tests.fakes import FakeEngine, until

A, B, C = (ModelRecord(name, engine="fake") for name in "abc")
SHORT_S = 0.02
LONG_S = 60.0
LIMIT_S = 5.0


@pytest.fixture
def admission_with(residence_with):
    """Builds an admission over a residence with `max_loaded` places."""

    def build(*, max_loaded: int = 1, **values: float) -> Admission:
        return Admission(AdmissionSettings(**values), residence_with(max_loaded=max_loaded))

    return build


@dataclass
class Guest:
    """A request that enters in a task of its own."""

    admission: Admission
    record: ModelRecord
    task: asyncio.Task = field(init=False)

    def __post_init__(self) -> None:
        self.task = asyncio.create_task(self.admission.enter(Demand(self.record)))

    @property
    def inside(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    def leave(self) -> None:
        self.admission.leave(self.task.result(), keep_alive_s=None, served_s=1.0)


async def queue(admission: Admission, *records: ModelRecord) -> list[Guest]:
    """Let requests come one after the other."""
    guests = []
    for record in records:
        guests.append(Guest(admission, record))
        await turns()
    return guests


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def leases_of(admission: Admission) -> int:
    return sum(slot.leases for slot in admission._residence._all())


async def test_free_place_is_given_at_once(admission_with):
    """Where there is room, a request enters without waiting."""
    admission = admission_with()
    await admission.enter(Demand(A))

    assert (1, 0) == (admission.running, admission.waiting)


async def test_first_in_first_out(admission_with):
    """Requests enter in the order in which they came."""
    admission = admission_with(max_running=1)
    guests = await queue(admission, A, A, A, A)
    entered = []
    for _ in guests:
        await until(lambda: any(g.inside and g not in entered for g in guests))
        entered.append(next(g for g in guests if g.inside and g not in entered))
        entered[-1].leave()

    assert guests == entered


@pytest.mark.parametrize("max_running", [1, 2, 3])
async def test_no_more_run_than_allowed(admission_with, max_running: int):
    """As many requests as allowed run at once; the rest waits."""
    admission = admission_with(max_running=max_running)
    guests = await queue(admission, A, A, A, A)

    assert ([True] * max_running + [False] * (4 - max_running), max_running, 4 - max_running) == (
        [g.inside for g in guests],
        admission.running,
        admission.waiting,
    )


async def test_full_queue_refuses_with_a_time(admission_with):
    """A request that finds the queue full is refused at once, with the time after which to try again."""
    admission = admission_with(max_running=1, max_queued=2)
    await queue(admission, A, A, A)

    with pytest.raises(QueueFull, match=r"2 requests are waiting already, which is admission\.max_queued") as error:
        await admission.enter(Demand(A))

    # Three turns of the typical five seconds are ahead of whoever comes next.
    assert (15, 2) == (error.value.retry_after_s, admission.waiting)


async def test_queue_of_zero_still_lets_in_who_need_not_wait(admission_with):
    """Without a queue a request enters if there is room, and is refused if not."""
    admission = admission_with(max_running=1, max_queued=0)
    await admission.enter(Demand(A))

    with pytest.raises(QueueFull):
        await admission.enter(Demand(A))

    assert (1, 0) == (admission.running, admission.waiting)


async def test_expected_wait_learns_from_answers(admission_with):
    """The time after which to try again follows how long answers take."""
    admission = admission_with(max_running=1, max_queued=0)
    for _ in range(30):
        admission.leave(await admission.enter(Demand(A)), keep_alive_s=None, served_s=100.0)
    await admission.enter(Demand(A))

    with pytest.raises(QueueFull) as error:
        await admission.enter(Demand(A))

    assert 100 == pytest.approx(error.value.retry_after_s, abs=1)


async def test_waiting_too_long_is_an_error(admission_with):
    """A request whose turn does not come in time is refused, with the time after which to try again."""
    admission = admission_with(max_running=1, max_wait_s=SHORT_S)
    await admission.enter(Demand(A))

    with pytest.raises(AdmissionTimeout, match=r"waited 0.02 s .*behind 1 running") as error:
        await admission.enter(Demand(A))

    assert (5, 0, 1) == (error.value.retry_after_s, admission.waiting, admission.running)


async def test_who_gave_up_does_not_stand_in_the_way(admission_with):
    """A request that waited too long gives its place to those behind it."""
    admission = admission_with(max_running=2, max_wait_s=LONG_S)
    (holder,) = await queue(admission, A)
    admission._settings = AdmissionSettings(max_running=2, max_wait_s=SHORT_S)
    (impatient,) = await queue(admission, B)
    admission._settings = AdmissionSettings(max_running=2, max_wait_s=LONG_S)
    (behind,) = await queue(admission, A)
    before = behind.inside
    await until(lambda: behind.inside)

    assert (False, AdmissionTimeout) == (before, type(impatient.task.exception()))
    holder.leave()


async def test_cancelled_waiter_gives_back_its_place(admission_with):
    """A request that is cancelled while it waits leaves the queue, and the next one moves up."""
    admission = admission_with(max_running=1)
    first, cancelled, next_one = await queue(admission, A, A, A)
    cancelled.task.cancel()
    await until(cancelled.task.done)
    first.leave()
    await until(lambda: next_one.inside)

    assert (True, 1, 0) == (cancelled.task.cancelled(), admission.running, admission.waiting)


async def test_cancelled_head_lets_the_next_one_in(admission_with):
    """Where the head that waits for its model is cancelled, the one behind it enters if it can."""
    admission = admission_with(max_running=2)
    _, head, behind = await queue(admission, A, B, A)
    head.task.cancel()
    await until(lambda: behind.inside)

    assert head.task.cancelled()


@pytest.mark.parametrize("delay", range(5))
@pytest.mark.parametrize("order", ["grant first", "cancel first"])
async def test_turn_granted_while_cancelled_is_given_back(admission_with, delay: int, order: str):
    """A turn that comes at the moment of the cancellation is given back, and the request really is cancelled."""
    admission = admission_with(max_running=1)
    first, guest = await queue(admission, A, A)
    actions = [first.leave, lambda: heard.append(guest.task.cancel())]
    heard: list[bool] = []  # whether the cancellation came before the request had returned
    for action in actions if order == "grant first" else reversed(actions):
        action()
        await turns(delay)
    await until(guest.task.done)
    if guest.inside:
        guest.leave()

    assert (heard, 0, 0, 0) == (
        [guest.task.cancelled()],
        admission.running,
        admission.waiting,
        leases_of(admission),
    )


async def test_head_waits_for_its_model_and_nobody_overtakes(admission_with):
    """While the head waits for room for its model, a request for the loaded model stays behind it."""
    admission = admission_with(max_running=5)
    holder, head, behind = await queue(admission, A, B, A)
    while_held = [head.inside, behind.inside]
    holder.leave()
    await until(lambda: head.inside)
    with_head_inside = behind.inside
    head.leave()
    await until(lambda: behind.inside)

    assert ([False, False], False) == (while_held, with_head_inside)
    behind.leave()


async def test_head_enters_when_its_model_has_room(admission_with, engine):
    """The idle model of another is closed for the head, without anybody asking again."""
    admission = admission_with(max_running=5)
    lease = await admission.enter(Demand(A))
    await lease.model()
    admission.leave(lease, keep_alive_s=None, served_s=0)

    await asyncio.wait_for(admission.enter(Demand(B)), 2)

    await until(lambda: 1 == engine.models[0].closed)


async def test_unknown_engine_is_the_error_of_its_own_request(admission_with):
    """A request for a model without an engine fails alone; those behind it enter."""
    admission = admission_with(max_running=1)
    first, broken, behind = await queue(admission, A, ModelRecord("x", engine="none"), A)
    first.leave()
    await until(lambda: behind.inside)

    assert (ModelLoadFailed, 1, 0) == (type(broken.task.exception()), admission.running, admission.waiting)


async def test_lease_is_released_with_its_keep_alive(admission_with, engine):
    """Leaving hands on how long the model is to stay."""
    admission = admission_with()
    lease = await admission.enter(Demand(A))
    model = await lease.model()
    admission.leave(lease, keep_alive_s=0, served_s=0)
    await until(lambda: model.closed)

    assert 0 == leases_of(admission)


@dataclass
class Play:
    """Requests, loads and deaths in any order, over parts of its own."""

    max_running: int
    max_loaded: int
    max_queued: int
    folder: Path = Path("nowhere")
    engine: FakeEngine = field(default_factory=FakeEngine)
    guests: list[Guest] = field(default_factory=list)
    loads: list[asyncio.Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        catalog = SimpleNamespace(engine=lambda record: self.engine)
        self.residence = residence_of(catalog, self.folder, max_loaded=self.max_loaded)
        limits = AdmissionSettings(max_running=self.max_running, max_queued=self.max_queued)
        self.admission = Admission(limits, self.residence)

    async def step(self, action: str, number: int) -> None:
        """Do one thing, then see that no limit is passed."""
        inside = [guest for guest in self.guests if guest.inside]
        match action:
            case "come":
                self.guests.append(Guest(self.admission, (A, B, C)[number % 3]))
            case "leave" if inside:
                self.dismiss(inside[number % len(inside)])
            case "load" if inside:
                self.loads.append(asyncio.create_task(inside[number % len(inside)].task.result().model()))
            case "cancel" if self.guests:
                self.guests[number % len(self.guests)].task.cancel()
            case "die" if self.engine.models:
                self.engine.models[number % len(self.engine.models)].end.set()
            case _:
                await turns(number)
        assert self.admission.running <= self.max_running
        assert self.admission.waiting <= self.max_queued

    def dismiss(self, guest: Guest) -> None:
        """Let a request end, if it has entered."""
        self.guests.remove(guest)
        if guest.inside:
            guest.leave()

    async def end(self) -> None:
        """Let every request enter and leave."""
        while self.guests:
            await turns()
            for guest in [g for g in self.guests if g.task.done()]:
                self.dismiss(guest)
        for load in self.loads:
            load.cancel()
        await asyncio.gather(*self.loads, return_exceptions=True)


ACTIONS = ("come", "leave", "cancel", "turn", "load", "die")


@given(
    steps=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 9)), max_size=40),
    max_running=st.integers(1, 3),
    max_loaded=st.integers(1, 2),
    max_queued=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_whatever_happens(steps, max_running: int, max_loaded: int, max_queued: int):
    """After any sequence of requests, cancellations and deaths every place and every lease is given back."""

    async def play() -> None:
        world = Play(max_running, max_loaded, max_queued)
        for action, number in steps:
            await world.step(action, number)
        await asyncio.wait_for(world.end(), LIMIT_S)
        left = world.admission.running, world.admission.waiting, leases_of(world.admission)
        await world.residence.stop()

        assert (0, 0, 0) == left
        assert [] == [model.name for model in world.engine.models if not model.closed]

    asyncio.run(play())
