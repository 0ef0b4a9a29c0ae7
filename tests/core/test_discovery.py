"""The three doors: what is found, and that nothing is imported by finding it."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from hoshikage.core import discovery
from hoshikage.core.discovery import BUILT_IN, entry_points, folder_files

PLUGINS = Path(discovery.__file__).resolve().parents[1] / "plugins"


def test_every_shipped_plugin_is_built_in():
    """The built-in plug-ins are exactly the packages in the folder of plug-ins."""
    folders = {f.parent.name for f in PLUGINS.glob("*/__init__.py")}

    assert folders == set(BUILT_IN)


def test_built_in_plugins_load():
    """Each built-in plug-in can be imported by its candidate."""
    modules = [candidate.load().__name__ for candidate in discovery.built_in()]

    assert [f"hoshikage.plugins.{name}" for name in BUILT_IN] == modules


def test_folder_files_are_found_by_name(tmp_path):
    """Each Python file of the folder is a candidate, in the order of the names."""
    for name in ("zebra.py", "ant.py", "_draft.py", "notes.txt"):
        (tmp_path / name).write_text("")

    found = [(c.name, c.door, c.origin) for c in folder_files(tmp_path)]

    assert [(n, "file", str(tmp_path / f"{n}.py")) for n in ("ant", "zebra")] == found


def test_missing_folder_has_no_files(tmp_path):
    """A folder that does not exist holds no plug-ins."""
    assert [] == list(folder_files(tmp_path / "nowhere"))


def test_finding_does_not_import(tmp_path):
    """A file is not run before it is loaded."""
    (tmp_path / "loud.py").write_text("raise SystemExit('it was run')")

    assert ["loud"] == [c.name for c in folder_files(tmp_path)]


def test_loaded_file_is_a_module(tmp_path):
    """Loading runs the file and gives its module, which it can find itself in."""
    (tmp_path / "quiet_one.py").write_text("import sys\nME = sys.modules[__name__]\nWORD = 'here'\n")

    module = next(folder_files(tmp_path)).load()

    assert ("here", module) == (module.WORD, module.ME)


def test_file_that_fails_leaves_no_module(tmp_path):
    """A file that raises while it is loaded is not left half made among the modules."""
    (tmp_path / "breaks_down.py").write_text("1 / 0")

    with pytest.raises(ZeroDivisionError):
        next(folder_files(tmp_path)).load()

    assert "hoshikage_plugin_breaks_down" not in sys.modules


def test_file_may_have_any_name(tmp_path):
    """A file whose name is no Python name is loaded all the same."""
    (tmp_path / "my-plug in.py").write_text("WORD = 'here'")

    candidate = next(folder_files(tmp_path))

    assert ("my-plug in", "here") == (candidate.name, candidate.load().WORD)


def test_entry_points_of_the_group_are_found(monkeypatch):
    """An installed package's entry point is a candidate under its own name."""
    point = importlib.metadata.EntryPoint("clock", "colorsys", discovery.ENTRY_POINT_GROUP)
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [point] if group == "hoshikage.plugins" else []
    )

    (candidate,) = entry_points()

    found = (candidate.name, candidate.door, candidate.origin, candidate.load().__name__)
    assert ("clock", "entry point", "colorsys", "colorsys") == found


def test_entry_point_names_its_distribution(monkeypatch):
    """The origin of an entry point is the distribution and its version."""
    point = next(p for p in importlib.metadata.entry_points(group="console_scripts") if p.dist.name == "pytest")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])

    (candidate,) = entry_points()

    assert f"pytest {pytest.__version__}" == candidate.origin
