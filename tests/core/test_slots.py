"""A model's slot: what its owner decides, and the life of a model in it."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from hoshikage import EngineCounters, LoadPlan, ModelRecord
from hoshikage.core.errors import ContextOverflow, ModelLoadFailed, ServerStopping, StagingRefused
from hoshikage.core.http.durations import FOREVER_S
from hoshikage.core.slots import NEVER, Action, ModelSlot, Situation, SlotState, next_action
from hoshikage.core.storage import Storage
from tests.fakes import FakeEngine, FakeModel, FakeStager, until

RECORD = ModelRecord("gemma", engine="fake")
ON_DISK = replace(RECORD, file=Path("/models/gemma.gguf"), size_bytes=100)
SHORT_S = 0.05
LONG_S = 60.0
# A stop that hangs is cut off; one that works takes no time at all.
STOP_LIMIT_S = 2.0
TURNS = 20  # of the loop, in which everything happens that can happen by itself

READY = Situation(SlotState.READY, waiters=0, leases=0, unload_asked=False, dead=False, expires_at=NEVER, now=10.0)
EMPTY = replace(READY, state=SlotState.EMPTY)


@pytest.mark.parametrize(
    ("situation", "action"),
    [
        (EMPTY, Action.WAIT),
        (replace(EMPTY, waiters=1), Action.LOAD),
        (replace(EMPTY, waiters=3, leases=3), Action.LOAD),
        (replace(EMPTY, leases=1), Action.WAIT),
        (replace(EMPTY, unload_asked=True), Action.WAIT),
        (replace(EMPTY, expires_at=5.0), Action.WAIT),
        (replace(EMPTY, waiters=1, unload_asked=True), Action.LOAD),
        (READY, Action.WAIT),
        (replace(READY, leases=1), Action.WAIT),
        (replace(READY, expires_at=10.1), Action.WAIT),
        (replace(READY, expires_at=10.0), Action.CLOSE),
        (replace(READY, expires_at=9.0), Action.CLOSE),
        (replace(READY, expires_at=9.0, leases=1), Action.WAIT),
        (replace(READY, unload_asked=True), Action.CLOSE),
        (replace(READY, unload_asked=True, leases=1), Action.WAIT),
        (replace(READY, dead=True), Action.CLOSE),
        (replace(READY, dead=True, leases=2, waiters=1), Action.CLOSE),
    ],
)
def test_next_action(situation: Situation, action: Action):
    """The owner loads for waiters, closes what is dead, idle for long or asked to go, and otherwise waits."""
    assert action == next_action(situation)


@pytest.fixture
async def slot_of():
    """Builds slots over an engine; all are stopped at the end of the test."""
    slots: list[ModelSlot] = []

    def build(
        engine: FakeEngine, *, keep_alive_s: float = FOREVER_S, on_change=lambda: None, record=RECORD, stagers=()
    ) -> ModelSlot:
        storage = Storage(stagers)
        slots.append(ModelSlot(record, engine, storage=storage, keep_alive_s=keep_alive_s, on_change=on_change))
        return slots[-1]

    yield build
    for slot in slots:
        await asyncio.wait_for(slot.stop(), STOP_LIMIT_S)


@pytest.fixture
async def slot(slot_of, engine) -> ModelSlot:
    """A slot whose model stays for ever once it is loaded."""
    return slot_of(engine)


async def used(slot: ModelSlot, keep_alive_s: float | None = None) -> FakeModel:
    """Lease, load, release; returns the model."""
    lease = slot.lease()
    model = await lease.model()
    lease.release(keep_alive_s)
    return model


async def turns(count: int = TURNS) -> None:
    """Let everything happen that can happen by itself."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- loading ---


async def test_slot_begins_empty(slot, engine):
    """A new slot holds no model and loads none by itself."""
    await turns()

    assert (SlotState.EMPTY, []) == (slot.state, engine.loads)


async def test_lease_alone_loads_nothing(slot, engine):
    """Holding the slot does not load the model; asking for it does."""
    slot.lease()
    await turns()

    assert [] == engine.loads


async def test_model_is_loaded_on_demand(slot, engine):
    """Who asks for the model gets it loaded."""
    model = await slot.lease().model()

    assert (engine.models[0], SlotState.READY) == (model, slot.state)


async def test_many_waiters_share_one_load(slot, engine):
    """Requests that come while the model is loading all get that one model."""
    engine.hold.clear()
    waiting = [asyncio.create_task(slot.lease().model()) for _ in range(5)]
    await until(lambda: engine.loads)
    engine.hold.set()

    models = await asyncio.gather(*waiting)

    assert (["gemma"], [engine.models[0]] * 5) == (engine.loads, models)


async def test_loaded_model_is_used_again(slot, engine):
    """A model that is loaded is not loaded again."""
    first = await used(slot)
    second = await used(slot)

    assert (first, 1) == (second, len(engine.loads))


async def test_failed_load_reaches_all_waiters(slot, engine):
    """A load that fails is an error for each request that waits for it."""
    engine.hold.clear()
    engine.error = ModelLoadFailed("no memory")
    waiting = [asyncio.create_task(slot.lease().model()) for _ in range(3)]
    await until(lambda: engine.loads)
    engine.hold.set()

    errors = await asyncio.gather(*waiting, return_exceptions=True)

    assert ([engine.error] * 3, SlotState.EMPTY) == (errors, slot.state)


async def test_next_lease_after_a_failed_load_tries_again(slot, engine):
    """After a failed load the next request loads anew."""
    engine.error = ModelLoadFailed("no memory")
    with pytest.raises(ModelLoadFailed):
        await used(slot)
    engine.error = None

    model = await used(slot)

    assert (engine.models[0], 2) == (model, len(engine.loads))


async def test_unknown_error_of_a_load_is_a_failed_load(slot, engine):
    """An engine that breaks its contract while loading gives a failed load, and its error is logged."""
    engine.error = ZeroDivisionError("oops")
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(ModelLoadFailed, match="'gemma' cannot be loaded: oops"),
    ):
        await used(slot)

    assert "engine_broke_its_contract" in [line["event"] for line in logs]


async def test_cancelled_waiter_does_not_cancel_the_load(slot, engine):
    """Where one of two waiting requests is cancelled, the other gets the model."""
    engine.hold.clear()
    one, other = (asyncio.create_task(slot.lease().model()) for _ in range(2))
    await until(lambda: engine.loads)
    one.cancel()
    engine.hold.set()

    assert (engine.models, True) == ([await other], one.cancelled())


async def test_load_goes_on_after_its_only_waiter_left(slot, engine):
    """A load whose only request was cancelled ends all the same, and the model is there for the next one."""
    engine.hold.clear()
    lease = slot.lease()
    only = asyncio.create_task(lease.model())
    await until(lambda: engine.loads)
    only.cancel()
    await until(only.done)
    lease.release()
    engine.hold.set()
    await until(lambda: slot.state is SlotState.READY)
    await used(slot)

    assert 1 == len(engine.loads)


async def test_waiter_cancelled_before_the_load_loads_nothing(slot, engine):
    """A request that is cancelled before the owner has woken up causes no load."""
    waiting = asyncio.create_task(slot.lease().model())
    waiting.cancel()
    await turns()

    assert [] == engine.loads


async def test_changes_of_state_are_told(slot_of, engine):
    """Each change of state is told, after it has happened."""
    states: list[SlotState] = []
    slot = slot_of(engine, on_change=lambda: states.append(slot.state))
    await used(slot, keep_alive_s=0)
    await until(lambda: len(states) == 4)

    assert [SlotState.LOADING, SlotState.READY, SlotState.CLOSING, SlotState.EMPTY] == states


async def test_owner_does_not_log_under_the_request_that_made_it(slot_of, engine):
    """The slot outlives the request that made it, so its log lines do not carry that request's id."""
    with structlog.contextvars.bound_contextvars(request_id="first"):
        slot = slot_of(engine)
    seen: list[dict] = []
    load = engine.load

    async def spy(record, plan):
        seen.append(structlog.contextvars.get_contextvars())
        return await load(record, plan)

    engine.load = spy
    await used(slot)

    assert [{}] == seen


# --- death ---


async def test_dead_model_is_closed(slot, engine):
    """A model that says it can answer no more is closed."""
    model = await used(slot)
    model.end.set()
    await until(lambda: slot.state is SlotState.EMPTY)

    assert 1 == model.closed


async def test_next_lease_after_a_death_loads_again(slot, engine):
    """After a death the next request gets a new model."""
    (await used(slot)).end.set()
    await until(lambda: slot.state is SlotState.EMPTY)

    assert (await used(slot), 2) == (engine.models[1], len(engine.loads))


async def test_lease_at_the_moment_of_death_waits_for_a_new_model(slot, engine):
    """A request that asks before the owner has noticed the death does not get the dead model."""
    dead = await used(slot)
    dead.end.set()
    for _ in range(TURNS):
        if slot._dead():
            break
        await asyncio.sleep(0)
    not_noticed = slot.state is SlotState.READY

    assert (True, True) == (not_noticed, (await slot.lease().model()) is not dead)


async def test_death_does_not_wait_for_leases(slot, engine):
    """A dead model is closed though requests hold it: they cannot be served by it anyway."""
    model = await slot.lease().model()
    model.end.set()
    await until(lambda: slot.state is SlotState.EMPTY)

    assert (1, 1) == (model.closed, slot.leases)


async def test_model_that_fails_to_close_leaves_an_empty_slot(slot, engine):
    """An engine whose close raises leaves an empty slot, and its error is logged."""
    model = await used(slot)

    async def close():
        raise ZeroDivisionError

    model.close = close
    with structlog.testing.capture_logs() as logs:
        slot.ask_to_unload()
        await until(lambda: slot.state is SlotState.EMPTY)

    assert "engine_broke_its_contract" in [line["event"] for line in logs]


# --- idle ---


async def test_idle_model_is_unloaded_after_the_timeout(slot_of, engine):
    """An idle model goes when its timeout has passed since the last release, not before."""
    slot = slot_of(engine, keep_alive_s=SHORT_S)
    await used(slot)
    released = time.monotonic()
    await until(lambda: slot.state is SlotState.EMPTY)

    assert time.monotonic() - released >= SHORT_S * 0.9


async def test_timeout_does_not_run_while_the_slot_is_held(slot_of, engine):
    """A request that takes longer than the timeout keeps its model."""
    slot = slot_of(engine, keep_alive_s=SHORT_S)
    await used(slot)
    lease = slot.lease()
    began = time.monotonic()
    await until(lambda: time.monotonic() - began > 2 * SHORT_S)

    assert (SlotState.READY, 0) == (slot.state, engine.models[0].closed)
    lease.release()


async def test_new_lease_takes_the_end_away(slot_of, engine):
    """A model that is used again has no end in sight until it is released."""
    slot = slot_of(engine, keep_alive_s=LONG_S)
    await used(slot)
    idle = slot.view().expires_at
    slot.lease()

    assert (True, None) == (idle is not None, slot.view().expires_at)


async def test_timeout_begins_anew_with_each_release(slot_of, engine):
    """The timeout counts from the last release, not from the load or the first one."""
    slot = slot_of(engine, keep_alive_s=SHORT_S)
    await used(slot)
    first = slot.view().expires_at
    began = time.monotonic()
    await until(lambda: time.monotonic() - began > SHORT_S / 2)
    await used(slot)

    assert slot.view().expires_at - first >= SHORT_S / 2 * 0.9


async def test_timeout_of_zero_is_never(slot_of, engine):
    """An idle timeout of 0 keeps the model for ever."""
    slot = slot_of(engine, keep_alive_s=FOREVER_S)
    await used(slot)

    assert (None, NEVER) == (slot.view().expires_at, slot._expires_at)


@pytest.mark.parametrize("keep_alive_s", [-1, -0.5, -math.inf])
async def test_negative_keep_alive_is_for_ever(slot_of, engine, keep_alive_s: float):
    """A negative `keep_alive` keeps the model for ever, whatever the settings say."""
    slot = slot_of(engine, keep_alive_s=LONG_S)
    await used(slot, keep_alive_s)

    assert None is slot.view().expires_at


@pytest.mark.parametrize("keep_alive_s", [FOREVER_S, LONG_S])
async def test_keep_alive_of_zero_unloads_at_once(slot_of, engine, keep_alive_s: float):
    """A `keep_alive` of 0 unloads the model after the answer, whatever the settings say."""
    slot = slot_of(engine, keep_alive_s=keep_alive_s)
    await used(slot, keep_alive_s=0)
    await until(lambda: slot.state is SlotState.EMPTY)

    assert 1 == engine.models[0].closed


async def test_explicit_keep_alive_counts_from_the_release(slot_of, engine):
    """A `keep_alive` in seconds takes the place of the timeout."""
    slot = slot_of(engine, keep_alive_s=LONG_S)
    await used(slot, keep_alive_s=1000)

    assert 1000 == pytest.approx(slot.view().expires_at - time.time(), abs=1)


async def test_last_one_to_leave_decides(slot_of, engine):
    """Of two requests the one that leaves last decides how long the model stays."""
    slot = slot_of(engine)
    first, last = slot.lease(), slot.lease()
    await last.model()
    first.release(0)
    last.release(LONG_S)
    await turns()

    assert LONG_S == pytest.approx(slot.view().expires_at - time.time(), abs=1)


async def test_keep_alive_of_zero_waits_for_other_leases(slot, engine):
    """A request that ends with `keep_alive` 0 does not take the model away from another one."""
    first, last = slot.lease(), slot.lease()
    await last.model()
    first.release(0)
    await turns()

    assert (SlotState.READY, 1) == (slot.state, slot.leases)


async def test_release_counts_once(slot):
    """A lease that is released twice gives back one place."""
    one, _ = slot.lease(), slot.lease()
    one.release()
    one.release()

    assert 1 == slot.leases


# --- being asked to go ---


async def test_idle_model_goes_when_asked(slot, engine):
    """An idle model that is asked to go is closed."""
    model = await used(slot)
    slot.ask_to_unload()
    await until(lambda: slot.state is SlotState.EMPTY)

    assert 1 == model.closed


async def test_asking_waits_for_leases(slot):
    """A model that is asked to go while requests hold it stays until the last of them is released."""
    lease = slot.lease()
    model = await lease.model()
    slot.ask_to_unload()
    await turns()
    while_held = (slot.state, model.closed)
    lease.release(LONG_S)
    await until(lambda: slot.state is SlotState.EMPTY)

    assert ((SlotState.READY, 0), 1) == (while_held, model.closed)


async def test_new_lease_withdraws_the_asking(slot):
    """A request that comes after the asking keeps the model."""
    lease = slot.lease()
    model = await lease.model()
    slot.ask_to_unload()
    later = slot.lease()
    lease.release(LONG_S)
    later.release(LONG_S)
    await turns()

    assert (SlotState.READY, 0) == (slot.state, model.closed)


async def test_asking_while_a_dead_model_closes_is_not_forgotten(slot, engine):
    """A model that is asked to go while its predecessor is closing goes after the requests that still held it."""
    lease = slot.lease()
    dead = await lease.model()
    close, closing = dead.close, asyncio.Event()

    async def slow_close():
        await closing.wait()
        await close()

    dead.close = slow_close
    dead.end.set()
    await until(lambda: slot.state is SlotState.CLOSING)
    slot.ask_to_unload()
    closing.set()
    await lease.model()
    lease.release(LONG_S)
    await until(lambda: slot.state is SlotState.EMPTY)

    assert 1 == engine.models[1].closed


# --- views ---


async def test_view_of_a_loaded_model(slot):
    """A view shows the model, who runs on it and what it holds."""
    await slot.lease().model()
    view = slot.view()

    shown = (view.record, view.state, view.engine, view.running, view.context_length, view.size_bytes, view.pid)
    assert (RECORD, "ready", "fake", 1, 100, 1000, None) == shown


async def test_view_shows_what_the_model_counts(slot, engine):
    """A view shows the model's own counters as they stand now."""
    await slot.lease().model()
    engine.models[0].counters = EngineCounters(steps=7, running=1)

    assert EngineCounters(steps=7, running=1) == slot.view().counters


async def test_view_of_an_empty_slot(slot):
    """A view of an empty slot shows no sizes."""
    view = slot.view()

    assert ("empty", 0, 0, None, EngineCounters(), None) == (
        view.state,
        view.context_length,
        view.size_bytes,
        view.pid,
        view.counters,
        view.expires_at,
    )


# --- stopping ---


async def test_stop_closes_the_model(slot, engine):
    """A slot that is stopped closes its model, though a request holds it."""
    model = await slot.lease().model()
    await slot.stop()

    assert (1, SlotState.EMPTY) == (model.closed, slot.state)


async def test_stop_ends_the_owner(slot):
    """After the stop the owner task has ended."""
    await slot.stop()

    assert slot._owner.done()


async def test_stop_during_a_load_ends_the_waiting(slot, engine):
    """A request that waits for a load is told by the stop that the server goes."""
    engine.hold.clear()
    waiting = asyncio.create_task(slot.lease().model())
    await until(lambda: engine.loads)
    await slot.stop()
    await until(waiting.done)

    assert isinstance(waiting.exception(), ServerStopping)


@pytest.mark.parametrize("delay", range(6))
async def test_stop_right_after_a_release_ends(slot_of, engine, delay: int):
    """A stop that comes just when a release wakes the owner still ends it."""
    slot = slot_of(engine, keep_alive_s=LONG_S)
    await used(slot)
    await turns()
    lease = slot.lease()
    lease.release()
    await turns(delay)
    await asyncio.wait_for(slot.stop(), STOP_LIMIT_S)

    assert 1 == engine.models[0].closed


async def test_stopped_slot_says_so(slot, engine):
    """Who asks a stopped slot for its model is not left waiting."""
    lease = slot.lease()
    await slot.stop()

    with pytest.raises(ServerStopping):
        await asyncio.wait_for(lease.model(), STOP_LIMIT_S)


# --- staged copies ---


@pytest.fixture
def stager(tmp_path) -> FakeStager:
    """A stager whose copies are only noted."""
    return FakeStager(tmp_path)


@pytest.fixture
async def staged_slot(slot_of, engine, stager) -> ModelSlot:
    """A slot whose model is staged before its load."""
    return slot_of(engine, record=ON_DISK, stagers=[stager])


async def test_a_slot_is_loading_while_it_stages(staged_slot, stager, engine):
    """Copying is a part of the load: the engine is asked when the copy is whole."""
    stager.hold_up.clear()
    waiting = asyncio.create_task(staged_slot.lease().model())
    await until(lambda: stager.done)
    before = (staged_slot.state, staged_slot.staged, list(engine.loads))
    stager.hold_up.set()
    await waiting

    assert ((SlotState.LOADING, False, []), True) == (before, staged_slot.view().staged)


async def test_a_stop_while_staging_leaves_nothing(staged_slot, stager, engine):
    """A slot that is stopped while it stages ends the copying, loads nothing, and tells who waits."""
    stager.hold_up.clear()
    waiting = asyncio.create_task(staged_slot.lease().model())
    await until(lambda: stager.done)
    await asyncio.wait_for(staged_slot.stop(), STOP_LIMIT_S)
    await until(waiting.done)

    assert isinstance(waiting.exception(), ServerStopping)
    assert (SlotState.EMPTY, [], {}, 0) == (staged_slot.state, engine.loads, stager.copies, stager.held[ON_DISK.file])


async def test_a_stop_while_loading_gives_the_copy_back(staged_slot, stager, engine):
    """A copy that was held for a load which is cut short is held no longer."""
    engine.hold.clear()
    waiting = asyncio.create_task(staged_slot.lease().model())
    await until(lambda: engine.loads)
    held = stager.held[ON_DISK.file]
    await asyncio.wait_for(staged_slot.stop(), STOP_LIMIT_S)
    await until(waiting.done)

    assert (1, 0, SlotState.EMPTY) == (held, stager.held[ON_DISK.file], staged_slot.state)


async def test_a_load_that_fails_for_good_gives_the_copy_back(staged_slot, stager, engine):
    """Neither copy nor source can be loaded: the error is told, and nothing is held."""
    engine.error = ModelLoadFailed("no memory")
    with pytest.raises(ModelLoadFailed):
        await used(staged_slot)

    assert (0, {}, [stager.folder / "gemma.gguf", None]) == (
        stager.held[ON_DISK.file],
        stager.copies,
        [plan.file for plan in engine.plans],
    )


async def test_a_copy_that_others_hold_is_not_given_up(staged_slot, stager, engine):
    """If the copy cannot go, because another model reads from it, its failure stands."""
    stager.hold(ON_DISK)
    engine.error = ModelLoadFailed("no memory")
    with pytest.raises(ModelLoadFailed):
        await used(staged_slot)

    assert (1, 1, 1) == (stager.held[ON_DISK.file], len(stager.copies), len(engine.loads))


async def test_an_engine_that_breaks_gives_the_copy_back(staged_slot, stager, engine):
    """An error that the contract does not allow leaves nothing held either."""
    engine.error = ZeroDivisionError("oops")
    with pytest.raises(ModelLoadFailed):
        await used(staged_slot)

    assert 0 == stager.held[ON_DISK.file]


async def test_a_death_gives_the_copy_back(staged_slot, stager):
    """A model that died reads no more."""
    (await used(staged_slot)).end.set()
    await until(lambda: staged_slot.state is SlotState.EMPTY)

    assert 0 == stager.held[ON_DISK.file]


async def test_notes_are_of_the_last_load(staged_slot, stager):
    """After a load from the copy nothing is said of the one before it."""
    stager.refusal = StagingRefused("full")
    lease = staged_slot.lease()
    await lease.model()
    first = (lease.notes, staged_slot.view().notes)
    lease.release(0)
    await until(lambda: staged_slot.state is SlotState.EMPTY)
    stager.refusal = None
    await used(staged_slot)

    assert ((("loaded from disk: full",),) * 2, ()) == (first, staged_slot.view().notes)


async def test_each_answer_is_a_use_of_the_copy(staged_slot, stager):
    """The stager is told of the end of every answer."""
    await used(staged_slot)
    await used(staged_slot)

    assert 2 == stager.done.count(("touch", "gemma"))


# --- contexts ---


async def test_many_who_want_more_share_one_extension(slot, engine):
    """Several requests for the same longer context make it once; a shorter wish in between makes none."""
    model = await used(slot)
    extended: list[int] = []
    began, go_on = asyncio.Event(), asyncio.Event()
    extend = model.extend_context

    async def slow(context_length: int) -> None:
        extended.append(context_length)
        began.set()
        await go_on.wait()
        await extend(context_length)

    model.extend_context = slow
    waiting = [asyncio.create_task(slot.lease(n).model()) for n in (4096, 4096, 2048, 50)]
    await until(began.is_set)
    await until(waiting[3].done)
    go_on.set()
    await asyncio.gather(*waiting)

    assert ([4096], 4096) == (extended, slot.context_length)


async def test_different_wishes_are_made_one_after_another(slot, engine):
    """Of two longer contexts the longest one stays."""
    await used(slot)
    await asyncio.gather(*(slot.lease(n).model() for n in (2048, 8192, 4096)))

    assert 8192 == engine.models[0].context_length


async def test_a_context_that_cannot_be_made_is_an_error_of_its_request(slot, engine):
    """Who asked is told, and the model goes on with the context that it has."""
    model = await used(slot)

    async def refuse(context_length: int) -> None:
        raise ContextOverflow(f"{context_length} is too much")

    model.extend_context = refuse
    results = await asyncio.gather(slot.lease(4096).model(), slot.lease(50).model(), return_exceptions=True)

    assert (ContextOverflow, model, SlotState.READY) == (type(results[0]), results[1], slot.state)


async def test_a_context_that_cannot_be_loaded_is_not_tried_again(slot, engine):
    """A load that fails with a huge context does not spoil the next one, which asks for less."""
    engine.error = ModelLoadFailed("no memory for such a context")
    with pytest.raises(ModelLoadFailed):
        await slot.lease(1 << 20).model()
    engine.error = None
    await slot.lease(2048).model()

    assert [LoadPlan(context_length=1 << 20), LoadPlan(context_length=2048)] == engine.plans


# --- pins ---


async def test_a_pinned_model_has_no_end(slot_of, engine):
    """A pinned model stays after `keep_alive` 0, and shows no end; unpinned it goes."""
    slot = slot_of(engine)
    slot.set_pinned(pinned=True)
    await used(slot, keep_alive_s=0)
    await turns()
    pinned = (slot.state, slot.view().expires_at, slot.view().pinned)
    slot.set_pinned(pinned=False)
    await until(lambda: slot.state is SlotState.EMPTY)

    assert (SlotState.READY, None, True) == pinned


async def test_a_pinned_model_goes_when_asked(slot_of, engine):
    """Being pinned holds it against others and against time, not against who says `unload`."""
    slot = slot_of(engine)
    slot.set_pinned(pinned=True)
    await used(slot)
    slot.ask_to_unload()

    await until(lambda: slot.state is SlotState.EMPTY)
