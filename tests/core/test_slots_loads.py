"""A model's slot: loads from staged copies, contexts that grow, and models that are pinned."""

from __future__ import annotations

import asyncio

import pytest

from hoshikage import LoadPlan
from hoshikage.core.errors import ContextOverflow, ModelLoadFailed, ServerStopping, StagingRefused
from hoshikage.core.slot_rules import SlotState
from hoshikage.core.slots import ModelSlot
from tests.core.slotted import ON_DISK, STOP_LIMIT_S, turns, used
from tests.fakes import FakeStager, until

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
