"""The slots of all models: the memory that they may take, for how long they stay, and contexts that grow."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from hoshikage import MemoryNeed
from hoshikage.core.contracts import MemoryStatus
from hoshikage.core.demand import Demand
from hoshikage.core.errors import (
    InsufficientMemory,
    ModelFileError,
    ModelLoadFailed,
    ServerStopping,
)
from hoshikage.core.memory import MainMemory
from hoshikage.core.vram import GpuMemory
from tests.core.residences import GIB, A, B, C, states, used
from tests.fakes import until

# --- memory ---


async def test_a_model_that_never_fits_is_refused_with_the_bytes(residence_with):
    """The refusal names the model, what it takes, and what is missing."""
    residence = residence_with(memory=MainMemory(GIB, GIB))
    floor = 256 << 20

    with pytest.raises(
        InsufficientMemory, match=r"'a' does not fit.* 7 bytes of main memory would be missing"
    ) as error:
        residence.lease(Demand(A, need=MemoryNeed(context_bytes=GIB - floor + 7)))
    assert 7 == error.value.details["missing_bytes"]


async def test_settings_bound_the_memory_of_loaded_models(residence_with):
    """With a budget of its own, what is free on the machine does not matter."""
    residence = residence_with(memory_gib=1)
    lease = residence.lease(Demand(A, need=MemoryNeed(context_bytes=GIB)))
    (await lease.model()).memory = MemoryNeed(context_bytes=GIB)

    assert None is residence.lease(Demand(B, need=MemoryNeed(context_bytes=1)))
    with pytest.raises(InsufficientMemory):
        residence.lease(Demand(C, need=MemoryNeed(context_bytes=GIB + 1)))


async def test_pinned_models_stay(residence_with, engine):
    """A pinned model neither makes room nor leaves when it is idle; unpinned it does both."""
    residence = residence_with(max_loaded=1, idle_timeout_s=0.01)
    await residence.pin(A, pinned=True)
    pinned = await used(residence, A)
    refused = residence.lease(Demand(B))
    await residence.pin(A, pinned=False)
    await until(lambda: pinned.closed)

    assert None is refused


async def test_pins_are_remembered(residence_with):
    """A slot that is made later, or by the next server, knows of the pin."""
    await residence_with().pin(A, pinned=True)
    later = residence_with()
    await used(later, A)

    assert [True] == [view.pinned for view in later.views()]


async def test_a_model_keeps_its_own_time(residence_with):
    """`keep_alive` among a model's parameters stands in for the idle timeout."""
    residence = residence_with(idle_timeout_s=3600)
    model = await used(residence, replace(A, parameters={"keep_alive": "10ms"}))

    await until(lambda: model.closed)


async def test_a_model_that_is_described_anew_gets_its_new_time(residence_with):
    """The same file under the same name stays loaded; how long, its newest description says."""
    residence = residence_with(idle_timeout_s=3600)
    model = await used(residence, A)
    again = await used(residence, replace(A, parameters={"keep_alive": "10ms"}))
    await until(lambda: model.closed)

    assert model is again


async def test_two_loads_at_once_know_of_each_other(residence_with, engine):
    """What was let in counts with all that it will take, before its load begins and while it loads."""
    residence = residence_with(memory=MainMemory(GIB, GIB))
    need = MemoryNeed(context_bytes=500 << 20)
    engine.hold.clear()
    lease = residence.lease(Demand(A, need=need))
    before = residence.lease(Demand(B, need=need))
    loading = asyncio.create_task(lease.model())
    await until(lambda: engine.loads)
    meanwhile = residence.lease(Demand(B, need=need))
    beside = residence.lease(Demand(C, need=MemoryNeed(context_bytes=200 << 20)))
    engine.hold.set()
    await loading

    assert (None, None, True) == (before, meanwhile, beside is not None)


async def test_two_models_load_at_the_same_time(residence_with, engine):
    """With room for both, neither waits for the other."""
    residence = residence_with(max_loaded=2)
    engine.hold.clear()
    loading = [asyncio.create_task(residence.lease(Demand(record)).model()) for record in (A, B)]
    await until(lambda: len(engine.loads) == 2)
    both = states(residence)
    engine.hold.set()
    await asyncio.gather(*loading)

    assert [("a", "loading"), ("b", "loading")] == both


async def test_another_request_for_a_loading_model_needs_nothing_more(residence_with, engine):
    """What is being loaded is not counted twice; only a longer context than it gets needs more."""
    residence = residence_with(memory=MainMemory(GIB, GIB))
    need, longer = MemoryNeed(context_bytes=500 << 20), MemoryNeed(context_bytes=600 << 20)
    too_long = MemoryNeed(context_bytes=900 << 20)
    engine.hold.clear()
    loading = asyncio.create_task(residence.lease(Demand(A, need=need)).model())
    same = residence.lease(Demand(A, need=need))
    await until(lambda: engine.loads)
    more = residence.lease(Demand(A, 4096, longer))
    with pytest.raises(InsufficientMemory):
        residence.lease(Demand(A, 8192, too_long))
    taken = residence.memory().ram_bytes
    engine.hold.set()
    await loading

    assert (True, True, longer.ram_bytes) == (same is not None, more is not None, taken)


async def test_a_failed_load_gives_its_memory_back(residence_with, engine):
    """After a load that failed its memory is free for the next one."""
    residence = residence_with(memory=MainMemory(GIB, GIB))
    need = MemoryNeed(context_bytes=700 << 20)
    engine.error = ModelLoadFailed("no")
    lease = residence.lease(Demand(A, need=need))
    with pytest.raises(ModelLoadFailed):
        await lease.model()
    lease.release()

    assert None is not residence.lease(Demand(B, need=need))


async def test_a_closing_model_can_come_back(residence_with, engine):
    """A request for a model that is just being closed waits for its memory, and is not refused for want of it."""
    residence = residence_with(memory=MainMemory(GIB, GIB))
    need = engine.needs["a"] = MemoryNeed(context_bytes=600 << 20)
    lease = residence.lease(Demand(A, need=need))
    model = await lease.model()
    residence._budget.measure_ram = lambda: MainMemory(GIB, GIB - (0 if model.closed else need.ram_bytes))
    close, may_close = model.close, asyncio.Event()

    async def slow_close() -> None:
        await may_close.wait()
        await close()

    model.close = slow_close
    lease.release(keep_alive_s=0)
    await until(lambda: states(residence) == [("a", "closing")])
    meanwhile = residence.lease(Demand(A, need=need))
    may_close.set()
    await until(lambda: not residence.views())

    assert (None, True) == (meanwhile, residence.lease(Demand(A, need=need)) is not None)


async def test_the_refusal_names_pinned_models(residence_with, engine):
    """Who is in the way for ever is named."""
    residence = residence_with(memory_gib=1)
    await residence.pin(A, pinned=True)
    (await used(residence, A)).memory = MemoryNeed(context_bytes=GIB)

    with pytest.raises(InsufficientMemory, match=r"\(pinned: a\)"):
        residence.lease(Demand(B, need=MemoryNeed(context_bytes=1)))


async def test_lack_on_cards_is_told_apart(residence_with):
    """A refusal says which memory is missing."""
    residence = residence_with()
    residence._budget.measure_gpus = lambda: (GpuMemory(0, "card", GIB, GIB, 0),)

    with pytest.raises(InsufficientMemory, match=f"{GIB} bytes of GPU memory would be missing"):
        residence.lease(Demand(A, need=MemoryNeed(vram_bytes=GIB + GIB // 2)))


async def test_memory_of_all_models(residence_with, engine):
    """The status adds up what loaded models take, and says what is left."""
    residence = residence_with(memory=MainMemory(GIB, GIB))
    engine.needs = {"a": MemoryNeed(weights_bytes=1, context_bytes=2), "b": MemoryNeed(other_bytes=4, vram_bytes=8)}
    for record in (A, B):
        await used(residence, record)

    assert MemoryStatus(7, 8, GIB - (256 << 20) - 1, None) == residence.memory()


async def test_a_damaged_file_is_no_error_before_its_load(residence_with, engine):
    """A header that cannot be read lets the load say what is wrong."""
    residence = residence_with()

    async def estimate(record, context_length=0):
        raise ModelFileError("damaged")

    engine.estimate = estimate

    assert Demand(A) == await residence.demand(A)


@pytest.mark.parametrize(
    ("own", "timeout_s", "left_s"),
    [("1h", 5, 3600), (60, 5, 60), (0.5, 5, 0.5), ("-1m", 5, None), (-1, 5, None), (None, 5, 5), (None, 0, None)],
)
async def test_how_long_models_stay(residence_with, own, timeout_s: float, left_s: float | None):
    """A model's own `keep_alive` in any form, else the settings' timeout, of which 0 is never."""
    residence = residence_with(idle_timeout_s=timeout_s)
    await used(residence, replace(A, parameters={"keep_alive": own} if own is not None else {}))
    (view,) = residence.views()

    assert left_s == (view.expires_at and pytest.approx(view.expires_at - time.time(), abs=0.3))


async def test_nothing_is_loaded_after_the_stop(residence_with, engine):
    """A request that gets its turn while all are stopped is told so, and leaves no slot behind."""
    residence = residence_with(max_loaded=1)
    errors: list[Exception] = []
    await residence.lease(Demand(A)).model()

    def next_one() -> None:
        try:
            residence.lease(Demand(B))
        except ServerStopping as error:
            errors.append(error)

    residence.call_on_change(next_one)
    await residence.stop()

    assert (True, ["a"], ["a"]) == (bool(errors), engine.loads, list(residence._slots))


# --- contexts ---


async def test_a_longer_context_is_made_on_the_loaded_model(residence_with, engine):
    """A request that wants more tokens gets them without another load; one that wants fewer changes nothing."""
    residence = residence_with()
    await used(residence, A)
    longer = residence.lease(Demand(A, context_length=4096))
    model = await longer.model()
    shorter = residence.lease(Demand(A, context_length=2048))
    await shorter.model()

    assert (4096, ["a"]) == (model.context_length, engine.loads)


async def test_a_load_makes_the_context_that_is_wanted(residence_with, engine):
    """The plan of the first load says how long the context must be."""
    residence = residence_with()
    await residence.lease(Demand(A, context_length=4096)).model()

    assert [4096] == [plan.context_length for plan in engine.plans]


async def test_demands_are_stepped_and_bounded(residence_with, engine, catalog):
    """A wish becomes a step, and no more than the model was trained for."""
    residence = residence_with()
    engine.known = replace(engine.known, context_length=6000)

    assert [0, 4096, 6000] == [(await residence.demand(A, n)).context_length for n in (0, 3000, 9000)]
