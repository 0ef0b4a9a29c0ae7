"""The slots of all models: one per model, room for one more, and letting go of what has changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hoshikage import MemoryNeed
from hoshikage.core.demand import Demand
from hoshikage.core.errors import (
    ModelLoadFailed,
)
from hoshikage.core.memory import MainMemory
from hoshikage.core.settings import ResidencySettings
from tests.core.residences import GIB, A, B, C, states, used
from tests.core.slotted import turns
from tests.fakes import until

LONG_S = 60.0


async def test_first_model_may_start(residence_with):
    """Where nothing is loaded, a model may start at once."""
    residence = residence_with(max_loaded=1)

    assert None is not residence.lease(Demand(A))


async def test_one_slot_per_model(residence_with, engine):
    """Every name that means a model leads to the same slot."""
    residence = residence_with(max_loaded=2)
    for name in ("Gemma", "gemma", "GEMMA:latest"):
        await used(residence, replace(A, name=name))

    assert ["Gemma"] == engine.loads


async def test_busy_model_is_not_sent_away(residence_with):
    """While a request holds the only place, another model may not start."""
    residence = residence_with(max_loaded=1)
    await residence.lease(Demand(A)).model()

    assert (None, [("a", "ready")]) == (residence.lease(Demand(B)), states(residence))


async def test_who_leaves_does_not_disturb_who_comes(residence_with, engine):
    """With memory for both, the idle model closes only after the other has loaded and begun its first answer."""
    residence = residence_with(max_loaded=1)
    old = await used(residence, A)
    engine.hold.clear()
    lease = residence.lease(Demand(B))
    loading = asyncio.create_task(lease.model())
    await turns()
    while_loading = (old.closed, residence._slots["a"].leaving)
    engine.hold.set()
    await loading
    await turns()
    loaded = (old.closed, states(residence))
    await until(lambda: old.closed)

    assert ((0, True), (0, [("a", "ready"), ("b", "ready")])) == (while_loading, loaded)


async def test_who_was_to_leave_comes_back_at_once(residence_with, engine):
    """A model that is asked for again before it has closed is not loaded again; then the other one leaves."""
    residence = residence_with(max_loaded=1)
    old = await used(residence, A)
    newcomer = await used(residence, B)
    again = await residence.lease(Demand(A)).model()
    await until(lambda: newcomer.closed)

    assert (True, 0, ["a", "b"]) == (again is old, old.closed, engine.loads)


async def test_who_leaves_hurries_when_its_memory_is_wanted(residence_with, engine):
    """A third model that lacks memory has the leaving one closed at once."""
    residence = residence_with(max_loaded=1, memory=MainMemory(GIB, GIB))
    residence._load_s["b"] = LONG_S
    need = MemoryNeed(context_bytes=300 << 20)
    old = await used(residence, A)
    old.memory = need
    lease = residence.lease(Demand(B))
    await lease.model()
    await turns()
    before = old.closed
    residence._budget.measure_ram = lambda: MainMemory(GIB, GIB - (0 if old.closed else 600 << 20))
    waits = residence.lease(Demand(C, need=need))
    await until(lambda: old.closed)

    assert (0, None) == (before, waits)
    lease.release()


async def test_idle_model_makes_room(residence_with, engine):
    """An idle model is asked to go, and with memory for both the other starts at once."""
    residence = residence_with(max_loaded=1)
    old = await used(residence, A)
    await residence.lease(Demand(B)).model()
    await until(lambda: old.closed)

    assert [("b", "ready")] == states(residence)


async def test_without_memory_for_both_one_waits_for_the_other(residence_with):
    """A model that does not fit beside an idle one starts once that has left."""
    residence = residence_with(max_loaded=1, memory=MainMemory(GIB, GIB))
    need = MemoryNeed(context_bytes=600 << 20)
    lease = residence.lease(Demand(A, need=need))
    old = await lease.model()
    residence._budget.measure_ram = lambda: MainMemory(GIB, GIB - (0 if old.closed else need.ram_bytes))
    old.memory = need
    lease.release()
    refused = residence.lease(Demand(B, need=need))
    await until(lambda: old.closed)
    await until(lambda: not residence.views())

    assert None is refused
    assert None is not residence.lease(Demand(B, need=need))


async def test_only_as_many_leave_as_needed(residence_with, engine):
    """One model more sends one model away, also if it is asked for again while that one closes."""
    residence = residence_with(max_loaded=2)
    await used(residence, A)
    await used(residence, B)
    residence.call_on_change(lambda: residence.lease(Demand(C)))
    residence.lease(Demand(C))
    await until(lambda: engine.models[0].closed)
    await until(lambda: "a" not in dict(states(residence)))
    residence.call_on_change(lambda: None)

    assert 0 == engine.models[1].closed


async def test_longest_idle_model_leaves(residence_with, engine):
    """The model that was used least recently makes room."""
    residence = residence_with(max_loaded=2)
    for record in (A, B, A):
        await used(residence, record)
    await residence.lease(Demand(C)).model()
    await until(lambda: len(residence.views()) == 2)

    assert [("a", "ready"), ("c", "ready")] == states(residence)


async def test_leased_slot_counts_before_its_load(residence_with):
    """A place that was given away counts as taken though nothing is loaded yet."""
    residence = residence_with(max_loaded=1)
    residence.lease(Demand(A))

    assert None is residence.lease(Demand(B))


async def test_changed_record_gets_a_new_slot(residence_with, engine):
    """A model whose file or options have changed is loaded anew, and the old copy is let go."""
    residence = residence_with(max_loaded=2)
    old = await used(residence, A)
    new = await used(residence, replace(A, options={"n_ctx": 5}))
    await until(lambda: old.closed)

    assert (False, 0, 2) == (old is new, new.closed, len(engine.loads))


async def test_old_copy_goes_after_its_requests(residence_with):
    """The old copy of a changed model stays as long as requests hold it."""
    residence = residence_with(max_loaded=2)
    lease = residence.lease(Demand(A))
    old = await lease.model()
    await used(residence, replace(A, size_bytes=9))
    while_held = old.closed
    lease.release()
    await until(lambda: old.closed)

    assert 0 == while_held


async def test_old_copy_takes_a_place(residence_with):
    """With one place, the new version waits until the old copy has gone."""
    residence = residence_with(max_loaded=1)
    lease = residence.lease(Demand(A))
    await lease.model()

    assert None is residence.lease(Demand(replace(A, size_bytes=9)))


async def test_model_that_is_gone_from_the_catalogue_is_let_go(residence_with):
    """A loaded model whose name is missing from the catalogue is unloaded."""
    residence = residence_with(max_loaded=2)
    kept, gone = await used(residence, A), await used(residence, B)
    residence.retire_missing([A])
    await until(lambda: gone.closed)

    assert (0, [("a", "ready")]) == (kept.closed, states(residence))


async def test_retired_slot_is_forgotten(residence_with):
    """A retired slot that is empty and held by nobody is forgotten, its owner too."""
    residence = residence_with(max_loaded=2)
    await used(residence, A)
    slot = residence._slots["a"]
    residence.retire_missing([])
    await until(lambda: not residence.views())
    residence.retire_missing([])
    await until(slot._owner.done)

    assert [] == residence._all()


async def test_retired_slot_that_is_held_is_not_forgotten(residence_with):
    """A retired slot whose request has not yet asked for the model still serves it."""
    residence = residence_with(max_loaded=1)
    lease = residence.lease(Demand(A))
    residence.retire_missing([])
    residence.retire_missing([])

    assert "a" == (await lease.model()).name
    lease.release()


async def test_unload_is_asked_by_name(residence_with):
    """A loaded model that is asked to go goes."""
    residence = residence_with(max_loaded=2)
    model = await used(residence, A)
    residence.ask_to_unload(A)
    await until(lambda: model.closed)

    assert [] == residence.views() or [] == states(residence)


async def test_unload_of_what_is_not_loaded_does_nothing(residence_with):
    """Asking a model to go that was never loaded does nothing."""
    residence = residence_with(max_loaded=2)
    residence.ask_to_unload(A)

    assert () == residence.views()


async def test_model_without_an_engine_is_an_error(residence_with, engine):
    """A model that no engine loads is refused, and takes no place."""
    residence = residence_with(max_loaded=1)
    with pytest.raises(ModelLoadFailed):
        residence.lease(Demand(replace(A, engine="unknown")))

    assert None is not residence.lease(Demand(B))


async def test_changes_are_told(residence_with):
    """Every change of a slot's state is told to whoever dispatches."""
    residence = residence_with(max_loaded=1)
    told: list[list[tuple[str, str]]] = []
    residence.call_on_change(lambda: told.append(states(residence)))
    await used(residence, A)

    assert [[("a", "loading")], [("a", "ready")]] == told


async def test_idle_timeout_of_the_settings_counts(residence_with):
    """The slots have the idle timeout of the settings."""
    residence = residence_with(idle_timeout_s=0.01)
    model = await used(residence, A)
    await until(lambda: model.closed)

    assert ResidencySettings().idle_timeout_s > 1


async def test_stop_closes_all(residence_with, engine):
    """Stopping closes every model, retired ones too."""
    residence = residence_with(max_loaded=3)
    await residence.lease(Demand(A)).model()
    await used(residence, replace(A, size_bytes=9))
    await used(residence, B)
    await residence.stop()

    assert [1, 1, 1] == [m.closed for m in engine.models]
