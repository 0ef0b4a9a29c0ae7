"""The slots of all models and their staged copies: reading from them, giving them back, fetching ahead, pins."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hoshikage import LoadPlan, MemoryNeed, ModelRecord
from hoshikage.core.demand import Demand
from hoshikage.core.errors import (
    InsufficientMemory,
    ModelLoadFailed,
    StagingRefused,
)
from hoshikage.core.memory import MainMemory
from hoshikage.core.pins import Pins
from tests.core.residences import GIB, A, B, used
from tests.fakes import FakeStager, until

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


@pytest.mark.parametrize("vanishes", [False, True])
async def test_a_copy_that_does_not_load_is_given_up(residence_with, engine, on_disk, tmp_path, vanishes):
    """If the engine cannot load the copy, the copy goes, if it is still there, and the source is loaded."""
    stager = FakeStager(tmp_path / "ram")
    load = engine.load

    async def only_the_source(record, plan):
        if plan.file is not None:
            if vanishes:
                stager.copies.clear()
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


async def test_a_copy_in_the_making_can_be_asked_for_once_it_is_made(residence_with, on_disk, tmp_path):
    """Nobody can let go of half a copy; whoever needs its memory is looked at again when it is whole."""
    stager = FakeStager(tmp_path)
    residence = residence_with(stagers=[stager])
    looks: list[int] = []
    residence.call_on_change(lambda: looks.append(len(stager.copies)))
    residence.prefetch(on_disk)
    await until(lambda: looks)

    assert [1] == looks


async def test_a_receipt_tells_why_the_copy_was_not_made_after_all(residence_with, on_disk, tmp_path):
    """A first load does not wait for its copy; whether that was made is known by the next answer."""
    stager = FakeStager(tmp_path, refusal=StagingRefused("the RAM disk is full"), waits=False)
    residence = residence_with(stagers=[stager])
    lease = residence.lease(Demand(on_disk))
    await lease.model()
    await until(lambda: "full" in lease.notes[0])

    assert ("loaded from disk: the RAM disk is full",) == lease.notes


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
