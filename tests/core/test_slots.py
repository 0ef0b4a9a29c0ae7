"""A model's slot: the life of a model in it."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
import structlog

from hoshikage import EngineCounters
from hoshikage.core.errors import ModelLoadFailed, ServerStopping
from hoshikage.core.http.durations import FOREVER_S
from hoshikage.core.slot_rules import NEVER, SlotState
from tests.core.slotted import RECORD, STOP_LIMIT_S, TURNS, turns, used
from tests.fakes import until

SHORT_S = 0.05
LONG_S = 60.0


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


async def test_asking_may_leave_time(slot_of, engine):
    """A model that need not hurry goes when its time is over, though it was to stay for ever."""
    slot = slot_of(engine)
    model = await used(slot)
    slot.ask_to_unload(after_s=SHORT_S)
    await turns()
    meanwhile = (slot.state, slot.leaving, model.closed)
    await until(lambda: slot.state is SlotState.EMPTY)

    assert ((SlotState.READY, True, 0), 1) == (meanwhile, model.closed)


@pytest.mark.parametrize("order", [(LONG_S, 0), (0, LONG_S)])
async def test_who_asks_again_can_only_make_it_sooner(slot, order: tuple[float, float]):
    """Of two askings the sooner one counts."""
    model = await used(slot)
    for after_s in order:
        slot.ask_to_unload(after_s=after_s)

    await until(lambda: model.closed)


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
