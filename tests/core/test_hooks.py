"""One test per hook: what a plug-in offers through it takes effect."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from msgspec import Meta
from quart import Blueprint

from hoshikage import Check, CheckResult, RouteGroup, SettingsSection, hookimpl
from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.discovery import Candidate
from hoshikage.core.manager import PluginChoice, PluginManager
from tests.fakes import (
    FakeDownloader,
    FakeEngine,
    FakeFilter,
    FakeFormat,
    FakeObserver,
    FakeSource,
    FakeStager,
)

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings without any plug-in's sections."""
    return load_settings(Project(tmp_path), {}, [])


def manager_with(**hooks: Any) -> PluginManager:
    """A manager whose only plug-in implements these hooks."""
    plugin = SimpleNamespace(**{name: hookimpl(function) for name, function in hooks.items()})
    manager = PluginManager(PluginChoice())
    manager.add(Candidate("mine", "file", "mine.py", lambda: plugin))
    return manager


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """A clock's settings."""

    zone: Annotated[str, Meta(description="Whose time to tell.")] = "Asia/Tokyo"


def test_hook_declare_settings(tmp_path: Path):
    """A declared section is read from the environment and handed out by its dataclass."""
    manager = manager_with(hoshikage_declare_settings=lambda: [SettingsSection("clock", ClockSettings)])

    settings = load_settings(Project(tmp_path), {"HOSHIKAGE_CLOCK__ZONE": "UTC"}, manager.setting_sections())

    assert settings.section(ClockSettings) == ClockSettings("UTC")


def test_hook_provide_checks(settings: Settings):
    """An offered check is one that `doctor` runs."""
    check = Check("clock", lambda: [CheckResult("clock", "ok", "it ticks")])
    manager = manager_with(hoshikage_provide_checks=lambda: [check])

    assert manager.checks(settings) == [check]


def test_hook_provide_engines(settings: Settings):
    """An offered engine is among the engines; the hook gets the settings."""
    engine, seen = FakeEngine(), []

    def provide(settings: Settings) -> list[FakeEngine]:
        seen.append(settings)
        return [engine]

    assert manager_with(hoshikage_provide_engines=provide).engines(settings) == [engine]
    assert seen == [settings]


def test_hook_provide_model_sources(settings: Settings):
    """An offered source is among the sources."""
    source = FakeSource(["a"])
    manager = manager_with(hoshikage_provide_model_sources=lambda: [source])

    assert manager.model_sources(settings) == [source]


def test_hook_provide_stagers(settings: Settings, tmp_path: Path):
    """An offered stager is among the stagers; the hook gets the settings."""
    stager = FakeStager(tmp_path)
    manager = manager_with(hoshikage_provide_stagers=lambda settings: [stager])

    assert manager.stagers(settings) == [stager]


def test_hook_provide_downloaders(settings: Settings):
    """An offered downloader is among the downloaders; the hook gets the settings."""
    downloader = FakeDownloader({})
    manager = manager_with(hoshikage_provide_downloaders=lambda settings: [downloader])

    assert manager.downloaders(settings) == [downloader]


def test_hook_provide_request_filters(settings: Settings):
    """Offered filters come in their order."""
    late, early = FakeFilter(lambda r: r, "late", 90), FakeFilter(lambda r: r, "early", 10)
    manager = manager_with(hoshikage_provide_request_filters=lambda: [late, early])

    assert manager.request_filters(settings) == [early, late]


def test_hook_provide_chat_formats(settings: Settings):
    """Offered formats come in their order."""
    late, early = FakeFormat("late", 1000), FakeFormat("early", 10)
    manager = manager_with(hoshikage_provide_chat_formats=lambda: [late, early])

    assert manager.chat_formats(settings) == [early, late]


def test_hook_provide_observers(settings: Settings):
    """An offered observer is among the observers."""
    observer = FakeObserver()
    manager = manager_with(hoshikage_provide_observers=lambda: [observer])

    assert manager.observers(settings) == [observer]


def test_hook_provide_embedders(settings: Settings):
    """An offered embedder is among the embedders; the hook gets the settings and the server's own models."""
    embedder, models, seen = SimpleNamespace(name="ears"), SimpleNamespace(), []
    manager = manager_with(hoshikage_provide_embedders=lambda models: seen.append(models) or [embedder])

    assert manager.embedders(settings, models) == [embedder]
    assert seen == [models]


def test_hook_provide_memory(settings: Settings):
    """An offered store is among the stores; the hook gets the settings, every embedder and the server's own models."""
    store, embedder, models, seen = SimpleNamespace(name="parrot"), SimpleNamespace(name="ears"), SimpleNamespace(), []
    manager = manager_with(
        hoshikage_provide_embedders=lambda: [embedder],
        hoshikage_provide_memory=lambda settings, embedders, models: seen.extend([*embedders, models]) or [store],
    )

    assert manager.memory_stores(settings, manager.embedders(settings, models), models) == [store]
    assert seen == [embedder, models]


def test_hook_provide_routes():
    """An offered group is among the groups; the hook gets the server."""
    group, seen = RouteGroup("clock", Blueprint("clock", __name__)), []
    server: Any = object()

    def provide(server: Any) -> list[RouteGroup]:
        seen.append(server)
        return [group]

    assert manager_with(hoshikage_provide_routes=provide).route_groups(server) == [group]
    assert seen == [server]
