"""The model folder: its files, as they are at the moment of the look."""

from __future__ import annotations

import os

import pytest

from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.plugins import model_folder
from hoshikage.plugins.model_folder.source import FolderModels


def names(source: FolderModels) -> list[str]:
    return [record.name for record in source.models()]


def test_files_are_offered_by_their_stem(tmp_path):
    """Each GGUF file is a model under its file name without the ending, in the order of the names."""
    for name in ("b.gguf", "a-Q4.gguf", "星影.gguf"):
        (tmp_path / name).write_bytes(b"weights")

    assert ["a-Q4", "b", "星影"] == names(FolderModels(tmp_path))


def test_record_has_size_and_time(tmp_path):
    """A model's record carries its file, size and time."""
    file = tmp_path / "a.gguf"
    file.write_bytes(b"weights")
    os.utime(file, (1000, 1000))

    (record,) = FolderModels(tmp_path).models()

    assert (file, 7, 1000.0, "") == (record.file, record.size_bytes, record.modified_at, record.engine)


def test_nothing_else_is_offered(tmp_path):
    """Other files, folders, and files further below are no models."""
    (tmp_path / "readme.txt").write_text("")
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.gguf").write_bytes(b"")

    assert [] == names(FolderModels(tmp_path))


def test_changes_are_seen(tmp_path):
    """A file that comes or goes is seen at the next look."""
    source = FolderModels(tmp_path)
    seen = [names(source)]
    (tmp_path / "a.gguf").write_bytes(b"")
    seen.append(names(source))
    (tmp_path / "a.gguf").unlink()
    seen.append(names(source))

    assert [[], ["a"], []] == seen


def test_missing_folder_is_empty(tmp_path):
    """A folder that does not exist holds no models, until it is made."""
    source = FolderModels(tmp_path / "later")
    before = names(source)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.gguf").write_bytes(b"")

    assert ([], ["a"]) == (before, names(source))


def test_dangling_link_is_no_model(tmp_path):
    """A link whose target is gone is passed over."""
    (tmp_path / "a.gguf").symlink_to(tmp_path / "gone")

    assert [] == names(FolderModels(tmp_path))


@pytest.mark.parametrize("variables", [{"MODEL_DIR": "models"}, {"HOSHIKAGE_MODEL_FOLDER__PATH": "models"}])
def test_folder_is_that_of_the_settings(tmp_path, monkeypatch, variables: dict[str, str]):
    """The folder of the settings, old name or new, is relative to the project."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").write_bytes(b"")
    settings = load_settings(Project(tmp_path), variables, model_folder.hoshikage_declare_settings())

    (source,) = model_folder.hoshikage_provide_model_sources(settings)

    assert ["a"] == names(source)


def test_no_folder_is_no_source(tmp_path, monkeypatch):
    """Without a folder in the settings there is no source."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = load_settings(Project(tmp_path), {}, model_folder.hoshikage_declare_settings())

    assert [] == model_folder.hoshikage_provide_model_sources(settings)
