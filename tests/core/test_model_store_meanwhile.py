"""The model store while others act too: nothing half-made is left, and nobody gets what is gone."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage import ModelRecord
from hoshikage.core.catalog import Catalog
from hoshikage.core.creation import NewModel
from hoshikage.core.errors import InvalidRequest, ModelFileError, ModelNotFound
from hoshikage.core.registry import Registry
from tests.core.gguf.raw_gguf import SMALL
from tests.core.model_stores import World, world_over

if TYPE_CHECKING:
    from pathlib import Path

CREATES = 10
LIMIT_S = 10.0


@pytest.fixture
def world(tmp_path: Path, registry: Registry, catalog: Catalog) -> World:
    """A store over the catalogue with the models `a`, `b` and `c` of a plug-in."""
    return world_over(tmp_path, registry, catalog)


async def test_creates_of_one_name_leave_one_whole_model(world: World):
    """Many at once under one name: one wins, the blobs of the others go, and its own is there."""
    contents = [SMALL + bytes([number]) for number in range(CREATES)]
    digests = [await world.send(content) for content in contents]

    done = await asyncio.gather(*(world.create("same", files={"m": digest}) for digest in digests))

    assert all(steps[-1] == "success" for steps in done)
    assert [world.registry.file_of(world.entry("same"))] == list(world.blobs.folder.iterdir())


async def test_blob_that_goes_meanwhile_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch):
    """A create that has looked at a blob, which a delete takes away before the entry is written, is refused."""
    digest = await world.send(SMALL)
    await world.create("old", files={"m": digest})
    steps = world.store.create(NewModel("new", files={"m": digest}))
    await anext(steps)

    await world.store.delete("old")

    with pytest.raises(InvalidRequest, match="is gone; send it again"):
        [step async for step in steps]
    assert {} == dict(world.registry.entries())


async def test_base_that_goes_meanwhile_is_noticed(world: World):
    """A model is not made from one that is deleted before the entry is written: its file went with it."""
    await world.create("old", files={"m": await world.send(SMALL)})
    steps = world.store.create(NewModel("new", base="old"))
    await anext(steps)

    await world.store.delete("old")

    with pytest.raises(ModelFileError, match="a file of model 'old', is not there"):
        [step async for step in steps]
    assert {} == dict(world.registry.entries())


async def test_client_that_goes_away_leaves_a_whole_change(world: World, monkeypatch: pytest.MonkeyPatch):
    """A change that has begun is told to those who keep lists, even if nobody waits for it any more."""
    begun, go_on = threading.Event(), threading.Event()
    put = world.registry.put

    def slow(*args: Any, **kwargs: Any) -> str:
        begun.set()
        go_on.wait(LIMIT_S)
        return put(*args, **kwargs)

    monkeypatch.setattr(Registry, "put", lambda _, *args, **kwargs: slow(*args, **kwargs))
    task = asyncio.create_task(world.create(base="a"))
    await asyncio.to_thread(begun.wait, LIMIT_S)
    task.cancel()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (["new"], ["changed"]) == (list(world.registry.entries()), world.changes)


async def test_copy_of_what_goes_meanwhile_is_not_found(world: World, monkeypatch: pytest.MonkeyPatch):
    """A model that is deleted after it was looked up does not come back under another name without its file."""
    await world.create("old", files={"m": await world.send(SMALL)})
    entry = world.entry("old")
    await world.store.delete("old")
    monkeypatch.setattr(world.store, "entry", lambda _name: entry)
    monkeypatch.setattr(Catalog, "model", lambda _, name: ModelRecord(name))

    with pytest.raises(ModelNotFound, match="old"):
        await world.store.copy("old", "new")
    assert {} == dict(world.registry.entries())
