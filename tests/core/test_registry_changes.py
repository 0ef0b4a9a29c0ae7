"""The registry's further changes: replace, copy, and what is told of entries that go; and writers that are killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hoshikage.config.project import Project
from hoshikage.core.errors import InvalidRequest, ModelNotFound, RegistryError
from hoshikage.core.registry import ModelEntry, OpeningMessage, Registry, RegistryFiles
from tests.kills import kills

if TYPE_CHECKING:
    from pathlib import Path

KILLS = kills(20, usual=8)
LONGEST_LIFE_S = 0.15
PROCESS_LIMIT_S = 20.0

ENTRY = ModelEntry(path="/models", model="a.gguf", stop=())
FULL = ModelEntry(
    path="/models",
    model="b.gguf",
    stop=("</s>",),
    template="{{ .Prompt }}",
    system="Be kind.",
    parameters={"temperature": 0.5, "stop": ["x"]},
    messages=(OpeningMessage("user", "hi"), OpeningMessage("assistant")),
    license="MIT",
    source="here",
    owned=("sha256-" + "0" * 64,),
    parent="a",
)

# Puts, copies and removes without end; says what it begins and what it has done.
WRITER = """
import sys
from pathlib import Path
from hoshikage.config.project import Project
from hoshikage.core.registry import ModelEntry, Registry, RegistryFiles
file = Path(sys.argv[1])
registry = Registry(RegistryFiles(file, file, file), Project(file.parent))
ignore = lambda gone, left: None
entry = ModelEntry(path="/models", model="x.gguf", system="s" * 2000)
number = int(sys.argv[2]) * 1_000_000
while True:
    number += 1
    steps = [("put", f"m{number}"), ("copy", f"c{number}"), ("remove", f"m{number}")]
    for act, name in steps:
        print("begin", act, name, flush=True)
        if act == "put":
            registry.put(name, entry, settle=ignore)
        elif act == "copy":
            registry.copy(f"m{number}", name, settle=ignore)
        else:
            registry.remove(name, settle=ignore)
        print("done", act, name, flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the model map is."""
    return tmp_path / "map.json"


@pytest.fixture
def registry(file: Path) -> Registry:
    """The registry over it."""
    return registry_over(file)


def registry_over(file: Path) -> Registry:
    return Registry(RegistryFiles(file, file, file), Project(file.parent))


class Settled:
    """Notes what it is told of entries that go."""

    def __init__(self) -> None:
        self.told: list[tuple[ModelEntry, list[ModelEntry]]] = []

    def __call__(self, gone: ModelEntry, left: Any) -> None:
        self.told.append((gone, list(left)))


@pytest.fixture
def settled() -> Settled:
    """What is told in this test."""
    return Settled()


def test_every_new_field_comes_back(registry: Registry, file: Path, settled: Settled):
    """What a model brings is written and read again; what it does not bring is not written."""
    registry.put("full", FULL, settle=settled)
    registry.put("plain", ENTRY, settle=settled)
    raw = json.loads(file.read_bytes())

    assert [FULL, ENTRY] == list(registry_over(file).entries().values())
    assert {"path": "/models", "model": "a.gguf", "stop": []} == raw["plain"]
    assert [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}] == raw["full"]["messages"]


def test_put_replaces_under_the_name_that_was_there(registry: Registry, settled: Settled):
    """The name stays as it was written first, in its place; the entry that went is told, with those that are left."""
    registry.put("Star", ENTRY, settle=settled)
    registry.put("other", ENTRY, settle=settled)

    name = registry.put("star:latest", FULL, settle=settled)

    assert ("Star", {"Star": FULL, "other": ENTRY}) == (name, dict(registry.entries()))
    assert [(ENTRY, [FULL, ENTRY])] == settled.told


def test_put_that_is_refused_changes_nothing(registry: Registry, file: Path, settled: Settled):
    """What the check raises under the lock ends the call, and the lock is free again."""
    registry.put("star", ENTRY, settle=settled)

    def refuse() -> None:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest, match="no"):
        registry.put("star", FULL, check=refuse, settle=settled)

    assert ({"star": ENTRY}, []) == (dict(registry.entries()), settled.told)


def test_path_that_is_no_text_is_refused(registry: Registry, file: Path, settled: Settled):
    """The file stays as it is."""
    registry.put("star", ENTRY, settle=settled)
    before = file.read_bytes()

    with pytest.raises(RegistryError, match="cannot hold this model: a path or a text of it is no UTF-8"):
        registry.put("moon", ModelEntry(path="/models", model="\udcff.gguf"), settle=settled)

    assert before == file.read_bytes()


def test_copy_takes_everything_along(registry: Registry, file: Path, settled: Settled):
    """Fields that we do not know are copied too."""
    file.write_text(json.dumps({"a": {"path": "p", "model": "m", "note": 1}}))

    registry.copy("A:latest", "b", settle=settled)

    assert {"path": "p", "model": "m", "note": 1} == json.loads(file.read_bytes())["b"]


def test_copy_onto_a_taken_name_replaces_it(registry: Registry, settled: Settled):
    """The model that had the name goes; a copy onto itself changes nothing."""
    registry.put("a", ENTRY, settle=settled)
    registry.put("b", FULL, settle=settled)

    registry.copy("a", "B", settle=settled)
    registry.copy("a", "A", settle=settled)

    assert {"a": ENTRY, "b": ENTRY} == dict(registry.entries())
    assert [FULL, ENTRY] == [gone for gone, _ in settled.told]


@pytest.mark.parametrize("name", ["../x", "", "a b", "/a", "a/../b", "a:b:c"])
def test_names_that_are_not_allowed_are_refused(registry: Registry, settled: Settled, name: str):
    """Neither a put nor a copy makes them."""
    registry.put("a", ENTRY, settle=settled)

    with pytest.raises(InvalidRequest):
        registry.put(name, ENTRY, settle=settled)
    with pytest.raises(InvalidRequest):
        registry.copy("a", name, settle=settled)

    assert ["a"] == list(registry.entries())


def test_copy_of_nobody_is_not_found(registry: Registry, settled: Settled):
    """And makes no file."""
    with pytest.raises(ModelNotFound):
        registry.copy("nobody", "b", settle=settled)

    assert not registry.files.model_map.exists()


def test_removed_entry_is_told(registry: Registry, settled: Settled):
    """With those that are left."""
    registry.put("a", FULL, settle=settled)
    registry.put("b", ENTRY, settle=settled)

    registry.remove("a", settle=settled)

    assert [(FULL, [ENTRY])] == settled.told


def test_nobody_can_change_what_is_looked_at(registry: Registry, file: Path, settled: Settled, monkeypatch):
    """While `while_locked` acts, others wait."""
    monkeypatch.setattr("hoshikage.core.registry.LOCK_LIMIT_S", 0.05)
    registry.put("a", ENTRY, settle=settled)
    seen: list[ModelEntry] = []

    def act(entries: Any) -> None:
        seen.extend(entries)
        with pytest.raises(RegistryError, match="locked"):
            registry_over(file).put("b", ENTRY, settle=settled)

    registry.while_locked(act)

    assert [ENTRY] == seen


def test_link_to_the_file_has_its_lock(registry: Registry, file: Path, settled: Settled, tmp_path: Path, monkeypatch):
    """Whoever comes by another name writes the same file."""
    monkeypatch.setattr("hoshikage.core.registry.LOCK_LIMIT_S", 0.05)
    registry.put("a", ENTRY, settle=settled)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link.json").symlink_to(file)
    other = registry_over(tmp_path / "other" / "link.json")

    def act(_entries: Any) -> None:
        with pytest.raises(RegistryError, match="locked"):
            other.put("b", ENTRY, settle=settled)

    registry.while_locked(act)
    other.put("b", ENTRY, settle=settled)

    assert ["a", "b"] == list(registry.entries())


def test_litter_that_cannot_go_stops_nobody(registry: Registry, file: Path):
    """What looks like a killed writer's file may be anything."""
    (file.parent / f".{file.name}.x.tmp").mkdir()
    seen: list[int] = []

    registry.while_locked(lambda entries: seen.append(len(entries)))

    assert [0] == seen


def test_killed_writers_lose_nothing(file: Path):
    """Wherever a writer is killed, the file is whole, what it said was done is there, and it leaves no litter."""
    dice = random.Random(7)
    state: set[str] = set()
    for life in range(KILLS):
        state, in_work = _killed_after(dice.uniform(0, LONGEST_LIFE_S), file, life, state)
        found = set(registry_over(file).entries())

        assert found in (state, _after(state, in_work))
        state = found

    registry_over(file).while_locked(lambda entries: None)
    assert not list(file.parent.glob(".*.tmp"))
    assert any(name.startswith("c") for name in state)


Step: TypeAlias = "tuple[str, str] | None"


def _killed_after(delay_s: float, file: Path, life: int, state: set[str]) -> tuple[set[str], Step]:
    """Let a writer work, and kill it. Returns the names after all that it has done, and what it was at."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(life)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline()]  # it is at work
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(delay_s)
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.stdout.close()
    assert -signal.SIGKILL == process.wait(PROCESS_LIMIT_S)
    in_work: Step = None
    for line in lines:
        word, act, name = line.split()
        in_work = (act, name) if word == "begin" else None
        state = _after(state, (act, name)) if word == "done" else state
    return state, in_work


def _after(state: set[str], step: Step) -> set[str]:
    if step is None:
        return state
    act, name = step
    return state - {name} if act == "remove" else state | {name}
