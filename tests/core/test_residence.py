"""The slots of all models: one per model, room for one more, and letting go of what has changed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from hoshikage import LoadPlan, MemoryNeed, ModelRecord
from hoshikage.core.contracts import MemoryStatus
from hoshikage.core.errors import (
    InsufficientMemory,
    ModelFileError,
    ModelLoadFailed,
    ServerStopping,
    StagingRefused,
)
from hoshikage.core.memory import MainMemory
from hoshikage.core.pins import Pins
from hoshikage.core.residence import Demand
from hoshikage.core.settings import ResidencySettings
from hoshikage.core.vram import GpuMemory
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


async def test_a_copy_that_is_being_loaded_counts_once(residence_with, engine, on_disk, tmp_path):
    """While a staged model loads, its weights are in the copy alone, and another model still fits."""
    stager = FakeStager(tmp_path)
    need = MemoryNeed(weights_bytes=500 << 20, context_bytes=100 << 20)
    await stager.stage(replace(on_disk, size_bytes=need.weights_bytes))
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    engine.hold.clear()
    loading = asyncio.create_task(residence.lease(Demand(on_disk, need=need)).model())
    await until(lambda: engine.loads)

    assert None is not residence.lease(Demand(B, need=MemoryNeed(context_bytes=600 << 20)))
    engine.hold.set()
    await loading


async def test_weights_of_a_copy_are_not_on_the_models_account(residence_with, engine, on_disk, tmp_path):
    """`memory_gib` bounds what models take themselves; the RAM disk has a budget of its own."""
    residence = residence_with(stagers=[FakeStager(tmp_path)], memory_gib=1)
    engine.needs["a"] = MemoryNeed(weights_bytes=GIB)
    await used(residence, on_disk)

    assert None is not residence.lease(Demand(B, need=MemoryNeed(context_bytes=GIB)))


async def test_a_model_does_not_push_out_its_own_copy(residence_with, on_disk, tmp_path):
    """The copy that is to be read is not what makes room; the refusal counts without it."""
    stager = FakeStager(tmp_path)
    await stager.stage(replace(on_disk, size_bytes=GIB))
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))

    with pytest.raises(InsufficientMemory):
        residence.lease(Demand(on_disk, need=MemoryNeed(weights_bytes=GIB, context_bytes=GIB)))
    assert [("stage", "a")] == stager.done


async def test_pinned_and_held_copies_make_no_room(residence_with, on_disk, tmp_path):
    """A copy that somebody wants to keep, or reads, does not leave."""
    stager = FakeStager(tmp_path)
    await stager.stage(replace(on_disk, size_bytes=GIB))
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    wanted = Demand(B, need=MemoryNeed(context_bytes=GIB))
    stager.pin(on_disk, pinned=True)
    with pytest.raises(InsufficientMemory):
        residence.lease(wanted)
    stager.pin(on_disk, pinned=False)
    stager.hold(on_disk)

    assert (None, [("stage", "a")]) == (residence.lease(wanted), stager.done)


async def test_a_copy_whose_name_is_gone_makes_room_too(residence_with, on_disk, tmp_path):
    """What counts is the file that was copied, whether or not a model still has it."""
    stager = FakeStager(tmp_path)
    await stager.stage(replace(on_disk, size_bytes=GIB))
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    residence.lease(Demand(B, need=MemoryNeed(context_bytes=GIB)))

    await until(lambda: not stager.copies)


@pytest.mark.parametrize("outcome", [False, StagingRefused("gone"), ZeroDivisionError()])
async def test_a_copy_that_cannot_leave_is_not_asked_for_ever(residence_with, on_disk, tmp_path, outcome):
    """A copy that stays changes nothing, so the waiting request is not tried again because of it."""
    stager = FakeStager(tmp_path)
    await stager.stage(replace(on_disk, size_bytes=GIB))
    asked: list[ModelRecord] = []

    async def unstage(record):
        asked.append(record)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    stager.unstage = unstage
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    wanted = Demand(B, need=MemoryNeed(context_bytes=GIB))
    residence.call_on_change(lambda: residence.lease(wanted))
    residence.lease(wanted)
    await until(lambda: asked and not residence._unstaging)

    assert [on_disk.file] == [record.file for record in asked]


async def test_the_stop_ends_giving_back(residence_with, on_disk, tmp_path):
    """A copy that is just being given back does not hold up the stop."""
    stager = FakeStager(tmp_path)
    await stager.stage(replace(on_disk, size_bytes=GIB))
    begun = asyncio.Event()

    async def unstage(record):
        begun.set()
        await asyncio.Event().wait()

    stager.unstage = unstage
    residence = residence_with(stagers=[stager], memory=MainMemory(GIB, GIB))
    residence.lease(Demand(B, need=MemoryNeed(context_bytes=GIB)))
    await until(begun.is_set)
    await asyncio.wait_for(residence.stop(), 2)

    assert {} == residence._unstaging


# --- fetching ahead ---


async def test_what_usually_follows_is_staged_ahead(residence_with, on_disk, catalog, tmp_path):
    """After three swaps from one model to another, a load of the one stages the other."""
    stager = FakeStager(tmp_path)
    residence = residence_with(max_loaded=1, stagers=[stager])

    async def swap() -> int:
        """To `b`, to the model on disk, and its copy is given up; returns how often it was staged by then."""
        for record in (B, on_disk):
            await used(residence, record)
            await until(lambda: len(residence.views()) == 1)
        residence.ask_to_unload(on_disk)
        await until(lambda: not residence.views())
        await stager.unstage(on_disk)
        return stager.done.count(("stage", "a"))

    staged = [await swap() for _ in range(3)]
    before = set(stager.copies)
    await used(residence, B)
    await until(lambda: stager.copies)

    assert ([1, 2, 3], set(), {on_disk.file}) == (staged, before, set(stager.copies))


async def test_longer_contexts_are_no_swaps(residence_with):
    """A context that grows on a loaded model is no load, so it says nothing of what follows."""
    residence = residence_with(max_loaded=2)
    for record in (A, B):
        await used(residence, record)
    for tokens in (1000, 2000, 3000):
        for record in (A, B):
            await residence.lease(Demand(record, tokens)).model()

    assert {"a": {"b": 1}} == residence._swaps._next


# --- pins and copies ---


async def test_a_pin_reaches_the_copy(residence_with, catalog, on_disk, tmp_path):
    """Pinning pins the copy too, present or future; a file stays while any of its names is pinned."""
    stager = FakeStager(tmp_path)
    residence = residence_with(stagers=[stager])
    twin = replace(on_disk, name="twin")
    catalog.models = lambda: [on_disk, twin, B]
    seen = []
    for record, pinned in ((on_disk, True), (twin, True), (on_disk, False), (twin, False)):
        await residence.pin(record, pinned=pinned)
        seen.append(set(stager.pinned))

    assert [{on_disk.file}] * 3 + [set()] == seen


async def test_pins_are_recalled(residence_with, catalog, on_disk, tmp_path):
    """A stager is told at the start what was pinned or unpinned while no server ran."""
    stager = FakeStager(tmp_path / "ram", pinned={tmp_path / "b.gguf"})
    catalog.models = lambda: [on_disk, replace(B, file=tmp_path / "b.gguf")]
    Pins(tmp_path / "pins.json").set("a", pinned=True)
    residence_with(stagers=[stager]).recall_pins()

    assert {on_disk.file} == stager.pinned
