"""The slots of all models: one per model, room for one more, and letting go of what has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoshikage import ModelRecord
from hoshikage.core.errors import ModelLoadFailed
from hoshikage.core.settings import ResidencySettings
from tests.fakes import until

A, B, C = (ModelRecord(name, engine="fake") for name in "abc")


def states(residence) -> list[tuple[str, str]]:
    return [(v.record.name, v.state) for v in residence.views()]


async def used(residence, record: ModelRecord):
    """Lease, load, release; returns the model."""
    lease = residence.lease(record)
    model = await lease.model()
    lease.release()
    return model


async def test_first_model_may_start(residence_with):
    """Where nothing is loaded, a model may start at once."""
    residence = residence_with(max_loaded=1)

    assert None is not residence.lease(A)


async def test_one_slot_per_model(residence_with, engine):
    """Every name that means a model leads to the same slot."""
    residence = residence_with(max_loaded=2)
    for name in ("Gemma", "gemma", "GEMMA:latest"):
        await used(residence, replace(A, name=name))

    assert ["Gemma"] == engine.loads


async def test_busy_model_is_not_sent_away(residence_with):
    """While a request holds the only place, another model may not start."""
    residence = residence_with(max_loaded=1)
    await residence.lease(A).model()

    assert (None, [("a", "ready")]) == (residence.lease(B), states(residence))


async def test_idle_model_makes_room(residence_with, engine):
    """An idle model is asked to go, and then the other may start."""
    residence = residence_with(max_loaded=1)
    old = await used(residence, A)
    refused = residence.lease(B)
    await until(lambda: not residence.views())

    assert (None, 1) == (refused, old.closed)
    assert None is not residence.lease(B)


async def test_only_as_many_leave_as_needed(residence_with, engine):
    """One model more sends one model away, also if it is asked for again while that one closes."""
    residence = residence_with(max_loaded=2)
    await used(residence, A)
    await used(residence, B)
    residence.call_on_change(lambda: residence.lease(C))
    residence.lease(C)
    await until(lambda: engine.models[0].closed)
    await until(lambda: "a" not in dict(states(residence)))

    assert 0 == engine.models[1].closed


async def test_longest_idle_model_leaves(residence_with, engine):
    """The model that was used least recently makes room."""
    residence = residence_with(max_loaded=2)
    for record in (A, B, A):
        await used(residence, record)
    residence.lease(C)
    await until(lambda: len(residence.views()) == 1)

    assert [("a", "ready")] == states(residence)


async def test_leased_slot_counts_before_its_load(residence_with):
    """A place that was given away counts as taken though nothing is loaded yet."""
    residence = residence_with(max_loaded=1)
    residence.lease(A)

    assert None is residence.lease(B)


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
    lease = residence.lease(A)
    old = await lease.model()
    await used(residence, replace(A, size_bytes=9))
    while_held = old.closed
    lease.release()
    await until(lambda: old.closed)

    assert 0 == while_held


async def test_old_copy_takes_a_place(residence_with):
    """With one place, the new version waits until the old copy has gone."""
    residence = residence_with(max_loaded=1)
    lease = residence.lease(A)
    await lease.model()

    assert None is residence.lease(replace(A, size_bytes=9))


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
    lease = residence.lease(A)
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
        residence.lease(replace(A, engine="unknown"))

    assert None is not residence.lease(B)


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
    await residence.lease(A).model()
    await used(residence, replace(A, size_bytes=9))
    await used(residence, B)
    await residence.stop()

    assert [1, 1, 1] == [m.closed for m in engine.models]
