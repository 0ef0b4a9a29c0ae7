from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from hoshikage import hookimpl
from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.discovery import Candidate
from hoshikage.core.manager import PluginChoice, PluginManager
from hoshikage.core.settings import KERNEL_SECTIONS
from tests.fakes import FakeDownloader

if TYPE_CHECKING:
    from pathlib import Path


def test_the_registry_is_asked_last(tmp_path: Path):
    """It takes whatever has the form of a name, so a plug-in that comes later must still get its own references."""

    @hookimpl
    def hoshikage_provide_downloaders():
        return [FakeDownloader({})]

    manager = PluginManager.discover(PluginChoice(safe_mode=True))
    later = SimpleNamespace(hoshikage_provide_downloaders=hoshikage_provide_downloaders)
    manager._choice = PluginChoice()
    manager.add(Candidate("later", "file", "here", lambda: later))
    settings = load_settings(Project(tmp_path), {}, [*KERNEL_SECTIONS, *manager.setting_sections()])

    assert [d.name for d in manager.downloaders(settings)] == ["huggingface", "fake_downloader", "ollama_registry"]
