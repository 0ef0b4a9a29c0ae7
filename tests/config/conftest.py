"""An empty project, and an empty home."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage.config.project import Project


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without any settings; `~` means it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project folder without any file."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def toml(project: Project):
    """Writes `settings.toml`."""

    def write(text: str) -> None:
        project.settings_file.write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def dotenv(project: Project):
    """Writes the project's `.env`."""

    def write(text: str) -> None:
        (project.root / ".env").write_text(text, encoding="utf-8")

    return write
