"""The slots of all models: one per model, room for one more, and letting go of what has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoshikage import LoadPlan, MemoryNeed, ModelRecord
from hoshikage.core.errors import InsufficientMemory, ModelLoadFailed, StagingRefused
from hoshikage.core.memory import MainMemory
from hoshikage.core.residence import Demand
from hoshikage.core.settings import ResidencySettings
from tests.fakes import FakeStager, until

GIB = 1 << 30
A, B, C = (ModelRecord(name, engine="fake") for name in "abc")


def states(residence) -> list[tuple[str, str]]:
    return [(v.record.name, v.state) for v in residence.views()]


async def used(residence, record: ModelRecord):
    """Lease, load, release; returns the model."""
    lease = residence.lease(Demand(record))
    model = await lease.model()
    lease.release()
    return model


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


# --- staged copies ---


@pytest.fixture
def on_disk(tmp_path) -> ModelRecord:
    """A model with a file."""
    file = tmp_path / "a.gguf"
    file.write_bytes(b"x" * 100)
    return ModelRecord("a", file, engine="fake", size_bytes=100)


async def test_a_model_is_staged_before_its_load(residence_with, engine, on_disk, tmp_path):
    """The engine reads the copy, which is held until the model is closed; then it may go."""
    stager = FakeStager(tmp_path / "ram")
    residence = residence_with(stagers=[stager])
    lease = residence.lease(Demand(on_disk))
    model = await lease.model()
    held = stager.held[on_disk.file]
    lease.release(keep_alive_s=0)
    await until(lambda: model.closed)
    await until(lambda: not residence.views())

    assert [LoadPlan(tmp_path / "ram" / "a.gguf", 0, (tmp_path / "ram" / "state",))] == engine.plans
    assert (1, 0) == (held, stager.held[on_disk.file])
    assert ("touch", "a") in stager.done


async def test_what_cannot_be_staged_is_loaded_from_disk(residence_with, engine, on_disk, tmp_path):
    """A refusal costs nothing but a note, which the lease hands on."""
    stager = FakeStager(tmp_path, refusal=StagingRefused("the RAM disk is full"))
    lease = residence_with(stagers=[stager]).lease(Demand(on_disk))
    await lease.model()

    assert [LoadPlan()] == engine.plans
    assert ("loaded from disk: the RAM disk is full",) == lease.notes


async def test_a_stager_that_is_not_available_is_noted(residence_with, engine, on_disk, tmp_path):
    """Without a RAM disk models load from disk, and the receipt says why."""
    lease = residence_with(stagers=[FakeStager(tmp_path, available=False)]).lease(Demand(on_disk))
    await lease.model()

    assert ([LoadPlan()], ("loaded from disk: told so",)) == (engine.plans, lease.notes)


async def test_a_copy_that_does_not_load_is_given_up(residence_with, engine, on_disk, tmp_path):
    """If the engine cannot load the copy, the copy goes, and the source is loaded."""
    stager = FakeStager(tmp_path / "ram")
    load = engine.load

    async def only_the_source(record, plan):
        if plan.file is not None:
            raise ModelLoadFailed("it is damaged")
        return await load(record, plan)

    engine.load = only_the_source
    lease = residence_with(stagers=[stager]).lease(Demand(on_disk))
    await lease.model()

    assert ({}, 0) == (stager.copies, stager.held[on_disk.file])
    assert "given up" in lease.notes[0]


async def test_a_staged_model_needs_no_memory_for_its_weights(residence_with, on_disk, tmp_path):
    """Weights that lie on the RAM disk are mapped as they are, and so are not counted twice."""
    stager = FakeStager(tmp_path)
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    need = MemoryNeed(weights_bytes=2 * GIB)
    with pytest.raises(InsufficientMemory):
        residence.lease(Demand(on_disk, need=need))
    await stager.stage(on_disk)

    assert None is not residence.lease(Demand(on_disk, need=need))


async def test_idle_copies_make_room_for_a_load(residence_with, catalog, source, on_disk, tmp_path):
    """A copy that nobody reads leaves the RAM disk when a model needs the memory."""
    stager = FakeStager(tmp_path)
    await stager.stage(replace(on_disk, size_bytes=GIB))
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    catalog.models = lambda: [on_disk]

    assert None is residence.lease(Demand(B, need=MemoryNeed(context_bytes=GIB)))
    await until(lambda: not stager.copies)


async def test_a_waiting_model_is_staged_meanwhile(residence_with, on_disk, tmp_path):
    """What waits for its turn is copied to the RAM disk, unless it is loaded already."""
    stager = FakeStager(tmp_path)
    residence = residence_with(stagers=[stager])
    residence.prefetch(on_disk)
    await until(lambda: stager.copies)
    await residence.lease(Demand(on_disk)).model()
    await stager.unstage(on_disk)
    residence.prefetch(on_disk)

    assert 2 == stager.done.count(("stage", "a"))
