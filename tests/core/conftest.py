"""A catalogue of models without files, and the parts that stand on it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from hoshikage.config.project import Project
from hoshikage.core.catalog import Catalog
from hoshikage.core.gguf import DigestCache
from hoshikage.core.http.durations import FOREVER_S
from hoshikage.core.registry import Registry, RegistryFiles
from hoshikage.core.residence import Residence
from hoshikage.core.slots import ModelSlot
from hoshikage.core.storage import Storage
from tests.core.pipelines import PLENTY, World, residence_of
from tests.core.slotted import RECORD, STOP_LIMIT_S
from tests.fakes import FakeEngine, FakeSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from hoshikage import Stager
    from hoshikage.core.memory import MainMemory

LIBRARIES = ("httpx", "httpcore", "asyncio", "hypercorn.access", "hypercorn.error")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    files = RegistryFiles(tmp_path / "map.json", tmp_path / "tags_cache.json", tmp_path / "tags_ollama.json")
    return Registry(files, Project(tmp_path))


@pytest.fixture
def engine() -> FakeEngine:
    """The engine of every model here."""
    return FakeEngine()


@pytest.fixture
def source() -> FakeSource:
    """The source of the models `a`, `b` and `c`."""
    return FakeSource(["a", "b", "c"])


@pytest.fixture
def catalog(tmp_path: Path, registry: Registry, engine: FakeEngine, source: FakeSource) -> Catalog:
    """The catalogue over registry, source and engine."""
    digests = DigestCache(tmp_path / "digests.json")
    return Catalog(registry=registry, sources=[source], engines=[engine], digests=digests)


@pytest.fixture
async def residence_with(catalog: Catalog, tmp_path: Path) -> AsyncIterator[Callable[..., Residence]]:
    """Builds residences; all are stopped at the end of the test."""
    built: list[Residence] = []

    def build(*, memory: MainMemory = PLENTY, stagers: Sequence[Stager] = (), **settings: float) -> Residence:
        built.append(residence_of(catalog, tmp_path, memory=memory, stagers=stagers, **settings))
        return built[-1]

    yield build
    for residence in built:
        await residence.stop()


@pytest.fixture
async def slot_of():
    """Builds slots over an engine; all are stopped at the end of the test."""
    slots: list[ModelSlot] = []

    def build(
        engine: FakeEngine, *, keep_alive_s: float = FOREVER_S, on_change=lambda: None, record=RECORD, stagers=()
    ) -> ModelSlot:
        storage = Storage(stagers)
        slots.append(ModelSlot(record, engine, storage=storage, keep_alive_s=keep_alive_s, on_change=on_change))
        return slots[-1]

    yield build
    for slot in slots:
        await asyncio.wait_for(slot.stop(), STOP_LIMIT_S)


@pytest.fixture
async def slot(slot_of, engine) -> ModelSlot:
    """A slot whose model stays for ever once it is loaded."""
    return slot_of(engine)


@pytest.fixture
def world_with(residence_with: Callable[..., Residence]) -> Callable[..., World]:
    """Builds worlds with one place for a model."""

    def build(**parts: Any) -> World:
        return World(residence_with(max_loaded=1), **parts)

    return build


@pytest.fixture
def world(world_with: Callable[..., World]) -> World:
    """A pipeline without filters."""
    return world_with()


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Gives what was written to stderr since; puts logging back after the test as it was before."""
    loggers = [logging.getLogger(), *map(logging.getLogger, LIBRARIES)]
    levels = [logger.level for logger in loggers]
    handlers = loggers[0].handlers[:]
    yield lambda: capsys.readouterr().err
    for handler in set(loggers[0].handlers) - set(handlers):
        handler.close()
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
