"""`hoshikage import`: registering the models of other programs where they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.cli.importing import chosen, ollama_folders
from hoshikage.core.errors import InvalidRequest
from tests.core.gguf.raw_gguf import SMALL
from tests.core.importing.stores import TEMPLATE, put_manifest, put_model

if TYPE_CHECKING:
    from tests.core.cli.conftest import CommandLine


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


def results(output: str) -> dict[str, str]:
    """The column of results by name."""
    rows = [line.split() for line in output.splitlines()[1:]]
    return {row[0]: " ".join(row[1:-3]) for row in rows}


def test_ollama_store_is_taken_in_and_left_alone(hoshikage: CommandLine, tmp_path: Path):
    """Good models are registered, a broken one is one line, and not a byte of the store changes, also by `rm`."""
    store = tmp_path / "store"
    put_model(store, template=TEMPLATE, system="Be kind.", params={"top_k": 1})
    put_model(store, "hf.co/org/moon/Q4")
    bad = put_manifest(store, "registry.ollama.ai/library/bad/latest", b"{")
    before = tree(store)

    done = hoshikage("import", "ollama", str(store))
    shown = hoshikage.json("list")
    hoshikage("rm", "star")

    assert {"star:latest": "added", "hf.co/org/moon:Q4": "added"} == results(done.stdout)
    assert (0, 1) == (done.returncode, done.stderr.count("\n"))
    assert done.stderr.startswith(f"warning: {bad}: ")
    assert {"star:latest", "hf.co/org/moon:Q4"} <= {row["name"] for row in shown}
    assert before == tree(store)


def test_doing_it_again_changes_nothing(hoshikage: CommandLine, tmp_path: Path):
    """What is there is unchanged, what Ollama has changed since is updated, and a name of another model is left."""
    store = tmp_path / "store"
    put_model(store)
    put_model(store, "registry.ollama.ai/library/moon/latest")
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(SMALL)
    put_model(store, "registry.ollama.ai/library/mine/latest")
    hoshikage("add", str(mine), "mine")

    first = hoshikage("import", "ollama", str(store))
    registry = (hoshikage.data_dir / "model_map.json").read_bytes()
    again = hoshikage("import", "ollama", str(store))
    unchanged = (hoshikage.data_dir / "model_map.json").read_bytes()
    put_model(store, system="new")
    later = hoshikage("import", "ollama", str(store))

    assert {"star:latest": "added", "moon:latest": "added", "mine:latest": "name taken"} == results(first.stdout)
    assert {"star:latest": "unchanged", "moon:latest": "unchanged", "mine:latest": "name taken"} == results(
        again.stdout
    )
    assert registry == unchanged
    assert "updated" == results(later.stdout)["star:latest"]
    written = json.loads((hoshikage.data_dir / "model_map.json").read_bytes())
    assert ("new", str(tmp_path)) == (written["star:latest"]["system"], written["mine"]["path"])


def test_one_model_is_taken_in(hoshikage: CommandLine, tmp_path: Path):
    """`--only` names it; the folder may come from Ollama's own variable."""
    put_model(tmp_path / "store")
    put_model(tmp_path / "store", "registry.ollama.ai/library/moon/latest")
    variables = {"OLLAMA_MODELS": str(tmp_path / "store")}

    done = hoshikage("import", "ollama", "--only", "moon", **variables)
    nobody = hoshikage("import", "ollama", "--only", "nobody", **variables)

    assert {"moon:latest": "added"} == results(done.stdout)
    assert (1, True) == (nobody.returncode, "model 'nobody' not found" in nobody.stderr)


def test_lmstudio_is_taken_in(hoshikage: CommandLine, tmp_path: Path):
    """From where it keeps its models."""
    file = tmp_path / "data" / ".lmstudio" / "models" / "pub" / "repo" / "star.gguf"  # HOME is the data directory
    file.parent.mkdir(parents=True)
    file.write_bytes(SMALL)

    done = hoshikage("import", "lmstudio")

    assert {"star": "added"} == results(done.stdout)
    assert str(file) in done.stdout


def test_no_folder_is_one_line(hoshikage: CommandLine):
    """That says where it looked."""
    done = hoshikage("import", "ollama")

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert ".ollama/models" in done.stderr


def test_usual_folders_are_tried_in_order(tmp_path: Path):
    """The first that exists; a folder that is named is the only one."""
    (tmp_path / "b" / "manifests").mkdir(parents=True)
    (tmp_path / "c" / "manifests").mkdir(parents=True)
    usual = [str(tmp_path / name) for name in "abc"]

    assert tmp_path / "b" == chosen(None, usual, inside="manifests")
    with pytest.raises(InvalidRequest, match=str(tmp_path / "a")):
        chosen(tmp_path / "a", usual, inside="manifests")
    with pytest.raises(InvalidRequest, match="no folder ~nobody-of-that-name/models"):
        chosen(Path("~nobody-of-that-name/models"), usual)


def test_folder_that_may_not_be_looked_at_is_told(tmp_path: Path):
    """With the system's reason; the next one is tried. Here the name is longer than any can be."""
    (tmp_path / "c").mkdir()
    closed = str(tmp_path / ("x" * 300))

    assert tmp_path / "c" == chosen(None, [closed, str(tmp_path / "c")])
    with pytest.raises(InvalidRequest, match=r"xxx \(File name too long\)"):
        chosen(None, [closed])


def test_ollama_s_variable_stands_in_for_the_usual_folders():
    """As it does for Ollama."""
    assert ("/x",) == ollama_folders({"OLLAMA_MODELS": "/x"})
    assert 2 == len(ollama_folders({"OLLAMA_MODELS": ""}))
