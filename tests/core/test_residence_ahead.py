"""The model of the next request, which is loaded while those before it still answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hoshikage import MemoryNeed, ModelRecord
from hoshikage.core.admission import Admission
from hoshikage.core.demand import Demand
from hoshikage.core.errors import ModelLoadFailed
from hoshikage.core.memory import MainMemory
from hoshikage.core.settings import AdmissionSettings
from tests.core.residences import GIB, A, B, C, states
from tests.core.slotted import turns
from tests.fakes import until


def admission_of(residence, **values: float) -> Admission:
    return Admission(AdmissionSettings(**values), residence)


async def busy_with(admission: Admission, record: ModelRecord):
    """A request that holds its loaded model."""
    lease = await admission.enter(Demand(record))
    await lease.model()
    return lease


def leave(admission: Admission, lease) -> None:
    admission.leave(lease, keep_alive_s=None, served_s=1.0)


async def waiting_for(admission: Admission, record: ModelRecord, need: MemoryNeed | None = None) -> asyncio.Task:
    """A request that waits for its turn."""
    task = asyncio.create_task(admission.enter(Demand(record, need=need or MemoryNeed())))
    await turns()
    assert not task.done()
    return task


async def test_the_next_model_is_ready_when_its_turn_comes(residence_with, engine):
    """While the only place is busy the next model is loaded, and answers at once when the place is free."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    waiting = await waiting_for(admission, B)
    meanwhile = states(residence)
    leave(admission, first)
    lease = await waiting

    assert [("a", "ready"), ("b", "ready")] == meanwhile
    assert (await lease.model(), ["a", "b"]) == (engine.models[1], engine.loads)
    leave(admission, lease)


async def test_it_does_not_start_before_its_turn(residence_with):
    """That its model is there already lets nobody in beside as many as may be loaded."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    waiting = await waiting_for(admission, B)
    admission.dispatch()
    await turns()

    assert (False, 1) == (waiting.done(), admission.running)
    leave(admission, first)
    leave(admission, await waiting)


async def test_only_one_is_ahead(residence_with, engine):
    """The model of the request after the next one is not loaded yet."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    second, third = await waiting_for(admission, B), await waiting_for(admission, C)
    before = list(engine.loads)
    leave(admission, first)
    lease = await second
    await until(lambda: engine.loads == ["a", "b", "c"])

    assert ["a", "b"] == before
    leave(admission, lease)
    leave(admission, await third)


async def test_without_memory_for_both_nothing_is_loaded_ahead(residence_with, engine):
    """Where the next model does not fit beside those that answer, it is loaded in its turn."""
    residence = residence_with(max_loaded=1, memory=MainMemory(2 * GIB, GIB))
    admission = admission_of(residence)
    need = MemoryNeed(context_bytes=GIB)
    first = await busy_with(admission, A)
    engine.models[0].memory = need
    waiting = await waiting_for(admission, B, need)
    before = list(engine.loads)
    residence._budget.measure_ram = lambda: MainMemory(2 * GIB, 2 * GIB)
    leave(admission, first)
    lease = await waiting
    await lease.model()

    assert (["a"], ["a", "b"]) == (before, engine.loads)
    leave(admission, lease)


@pytest.mark.parametrize("loaded", [True, False])
async def test_who_gives_up_lets_the_model_go(residence_with, engine, loaded: bool):
    """The model that was loaded for a request that is withdrawn leaves again, loaded or still loading."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    if not loaded:
        engine.hold.clear()
    waiting = await waiting_for(admission, B)
    before = states(residence)
    waiting.cancel()
    engine.hold.set()
    await until(lambda: states(residence) == [("a", "ready")])

    assert ("b", "ready" if loaded else "loading") in before
    assert engine.models[1].closed
    leave(admission, first)


async def test_a_failed_load_is_told_in_its_turn_and_tried_once_before(residence_with, engine):
    """What cannot be loaded ahead is not tried again and again; the request gets the error of its own load."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    engine.error = ModelLoadFailed("broken")
    waiting = await waiting_for(admission, B)
    for _ in range(3):
        admission.dispatch()
        await turns()
    ahead = engine.loads.count("b")
    leave(admission, first)
    lease = await waiting

    with pytest.raises(ModelLoadFailed, match="broken"):
        await lease.model()
    assert (1, 2) == (ahead, engine.loads.count("b"))
    leave(admission, lease)


async def test_who_waits_for_running_requests_finds_its_model_loaded(residence_with, engine):
    """Also a request that waits for `max_running` has its model loaded meanwhile."""
    residence = residence_with(max_loaded=2)
    admission = admission_of(residence, max_running=1)
    first = await busy_with(admission, A)
    waiting = await waiting_for(admission, B)

    assert [("a", "ready"), ("b", "ready")] == states(residence)
    leave(admission, first)
    leave(admission, await waiting)


async def test_a_refused_request_loads_nothing(residence_with, engine):
    """A request that finds the queue full leaves no model behind."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence, max_queued=0)
    first = await busy_with(admission, A)
    await asyncio.gather(admission.enter(Demand(B)), return_exceptions=True)
    await turns()

    assert ["a"] == engine.loads
    leave(admission, first)


async def test_a_loading_model_is_not_copied_at_the_same_time(residence_with, engine, tmp_path):
    """The file that is being read for the load is not read a second time for its copy."""
    file = tmp_path / "b.gguf"
    file.write_bytes(b"x")
    residence = residence_with(max_loaded=1)
    asked: list[str] = []
    residence._storage.prefetch = lambda record: asked.append(record.name)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    waiting = await waiting_for(admission, replace(B, file=file))

    assert ([], ["a", "b"]) == (asked, engine.loads)
    leave(admission, first)
    leave(admission, await waiting)


async def test_a_changed_model_is_loaded_anew(residence_with, engine):
    """A model whose file changed while its request waited leaves, and what is loaded in its turn is the new one."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    first = await busy_with(admission, A)
    waiting = await waiting_for(admission, B)
    residence.retire_missing([A])
    await until(lambda: engine.models[1].closed)
    leave(admission, first)
    lease = await waiting

    assert not (await lease.model()).closed
    leave(admission, lease)


async def test_the_stop_ends_it(residence_with, engine):
    """A model that was loaded ahead is closed with the others."""
    residence = residence_with(max_loaded=1)
    admission = admission_of(residence)
    await busy_with(admission, A)
    waiting = await waiting_for(admission, B)
    await residence.stop()

    assert [True, True] == [bool(m.closed) for m in engine.models]
    waiting.cancel()
