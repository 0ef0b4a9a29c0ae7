"""The registry: the old file format, refusals, and several processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hoshikage.config.project import Project
from hoshikage.core import files as files_module
from hoshikage.core import registry as registry_module
from hoshikage.core.errors import InvalidRequest, ModelNotFound, RegistryError
from hoshikage.core.registry import FALLBACK_STOP, ModelEntry, Registry, RegistryFiles

PROCESSES = 4
ADDS_EACH = 10
PROCESS_LIMIT_S = 20.0

ENTRY = ModelEntry(path="/models", model="gemma.gguf", stop=("</s>",))
OLD_FILE = {
    "LFM2.5_Q8": {"path": "/models", "model": "LFM2.5-1.2B-JP-Q8_0.gguf", "stop": ["<|im_end|>", "<|eot_id|>"]},
    "古い": {"path": "models", "model": "古い.gguf"},
}

# What another process does: add names of its own, one after the other.
ADDER = """
import sys
from pathlib import Path
from hoshikage.config.project import Project
from hoshikage.core.registry import ModelEntry, Registry, RegistryFiles
file, prefix, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
registry = Registry(RegistryFiles(file, file, file), Project(file.parent))
print("ready", flush=True)
sys.stdin.read(1)
for number in range(count):
    registry.add(f"{prefix}-{number}", ModelEntry(path="/models", model="x.gguf"))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the model map is; it does not exist yet."""
    return tmp_path / "data" / "model_map.json"


@pytest.fixture
def registry(file: Path) -> Registry:
    """The registry over that file."""
    return registry_over(file)


def registry_over(file: Path) -> Registry:
    folder = file.parent
    files = RegistryFiles(file, folder / "tags_cache.json", folder / "tags_ollama.json")
    return Registry(files, Project(folder.parent))


def write(file: Path, content: object) -> bytes:
    raw = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(raw)
    return raw


def test_missing_file_is_empty(registry):
    """Without a file there are no models, and none is made by looking."""
    assert ({}, False) == (dict(registry.entries()), registry.files.model_map.exists())


def test_old_file_is_read(registry, file):
    """A file of the predecessor is read as it is, in its order."""
    write(file, OLD_FILE)

    read = [(name, e.path, e.model, e.stop) for name, e in registry.entries().items()]

    expected = [
        ("LFM2.5_Q8", "/models", "LFM2.5-1.2B-JP-Q8_0.gguf", ("<|im_end|>", "<|eot_id|>")),
        ("古い", "models", "古い.gguf", None),
    ]
    assert expected == read


def test_entry_without_stop_has_the_old_ones(registry, file):
    """An entry without `stop` has the predecessor's stop strings."""
    write(file, OLD_FILE)

    assert ("<|im_end|>", "</s>") == registry.stop_of(registry.entries()["古い"])


def test_entry_with_no_stop_strings_has_none(registry):
    """An entry whose `stop` is an empty list has no stop strings."""
    assert () == registry.stop_of(ModelEntry(path="p", model="m", stop=()))


def test_relative_path_resolves_against_the_project(registry, file):
    """An old relative path is one of the project's, wherever the process runs."""
    write(file, OLD_FILE)

    assert registry.project.root / "models" / "古い.gguf" == registry.file_of(registry.entries()["古い"])


def test_absolute_path_stands(registry):
    """An absolute path is the file's."""
    assert Path("/models/gemma.gguf") == registry.file_of(ENTRY)


def test_added_model_has_the_old_format(registry, file):
    """A model that is added to an empty registry is written as the predecessor wrote it."""
    registry.add("gemma", ENTRY)

    expected = """{
  "gemma": {
    "path": "/models",
    "model": "gemma.gguf",
    "stop": [
      "</s>"
    ]
  }
}
"""
    assert expected == file.read_text()


def test_added_model_without_stop_gets_the_old_ones(registry, file):
    """Stop strings are always written, so that the predecessor could read the file."""
    registry.add("gemma", ModelEntry(path="/models", model="gemma.gguf"))

    assert list(FALLBACK_STOP) == json.loads(file.read_bytes())["gemma"]["stop"]


def test_new_fields_come_back(registry, file):
    """Engine and options are written where they say something, and read again."""
    entry = ModelEntry(path="/m", model="x", stop=(), engine="llamacpp", options={"n_ctx": 2048})

    registry.add("gemma", entry)

    assert entry == registry_over(file).entries()["gemma"]


def test_unknown_fields_survive_a_rewrite(registry, file):
    """What somebody else has written into an entry is still there after a change."""
    write(file, {"a": {"path": "p", "model": "m", "note": {"by": ["me", 1, None, 2.5]}}})

    registry.add("gemma", ENTRY)

    assert {"path": "p", "model": "m", "note": {"by": ["me", 1, None, 2.5]}} == json.loads(file.read_bytes())["a"]


def test_order_survives_a_rewrite(registry, file):
    """The order of the file stays, and a new name comes last."""
    write(file, {name: {"path": "p", "model": "m"} for name in "zxy"})

    registry.add("gemma", ENTRY)

    assert ["z", "x", "y", "gemma"] == list(json.loads(file.read_bytes()))


def test_japanese_name_is_written_readably(registry, file):
    """A Japanese name stands in the file as UTF-8, not as escapes, and is read again."""
    registry.add("星影:最新", ENTRY)

    assert ('"星影:最新"' in file.read_text("utf-8"), ["星影:最新"]) == (True, list(registry_over(file).entries()))


@pytest.mark.parametrize("name", ["gemma", "GEMMA", "gemma:latest", "Gemma:LATEST"])
@pytest.mark.parametrize("taken", ["Gemma", "gemma:latest"])
def test_taken_name_is_refused(registry, file, taken: str, name: str):
    """A name that means a registered model is refused, and the file stays as it is."""
    registry.add(taken, ENTRY)
    before = file.read_bytes()

    with pytest.raises(RegistryError, match=rf"'{taken}' is taken by /models/gemma.gguf.*hoshikage rm {taken}"):
        registry.add(name, ModelEntry(path="/other", model="other.gguf"))

    assert before == file.read_bytes()


def test_taken_name_can_be_refused_beforehand(registry):
    """A taken name is refused before anything costly is done for it."""
    registry.add("gemma", ENTRY)

    with pytest.raises(RegistryError, match="is taken"):
        registry.refuse_taken("GEMMA")


def test_other_tag_is_another_name(registry):
    """Two tags of one name are two models."""
    registry.add("gemma:2b", ENTRY)
    registry.add("gemma", ENTRY)

    assert ["gemma:2b", "gemma"] == list(registry.entries())


def test_bad_name_is_refused(registry, file):
    """A name that is not allowed is refused before the file is made."""
    with pytest.raises(InvalidRequest):
        registry.add("../x", ENTRY)

    assert not file.exists()


@pytest.mark.parametrize("name", ["Gemma", "gemma", "GEMMA:latest"])
def test_removed_model_is_gone(registry, name: str):
    """A model is removed under every name that means it; the registered name is returned."""
    registry.add("Gemma", ENTRY)
    registry.add("other", ENTRY)

    removed = registry.remove(name)

    assert ("Gemma", ["other"]) == (removed, list(registry.entries()))


def test_removing_leaves_the_model_file(registry, tmp_path):
    """Removing a name does not touch the model's file."""
    model = tmp_path / "x.gguf"
    model.write_bytes(b"weights")
    registry.add("x", ModelEntry(path=str(tmp_path), model="x.gguf"))

    registry.remove("x")

    assert b"weights" == model.read_bytes()


def test_removing_an_unknown_name_changes_nothing(registry, file):
    """A name that nobody registered is not found, and the file stays as it is."""
    before = write(file, OLD_FILE)

    with pytest.raises(ModelNotFound, match="'gemma' not found"):
        registry.remove("gemma")

    assert before == file.read_bytes()


BROKEN = {
    "cut off": (b'{"a": {"path": "p", "mod', "is corrupt"),
    "empty": (b"", "must hold one JSON object"),
    "list": (b"[]", "must hold one JSON object"),
    "null": (b"null", "must hold one JSON object"),
    "no UTF-8": (b'{"\xff": {}}', "is corrupt"),
    "entry is text": (b'{"a": "p/m"}', "entry 'a'"),
    "entry without model": (b'{"a": {"path": "p"}}', "entry 'a'.*model"),
    "path is a number": (b'{"a": {"path": 1, "model": "m"}}', "entry 'a'.*path"),
    "stop is text": (b'{"a": {"path": "p", "model": "m", "stop": "x"}}', "entry 'a'.*stop"),
    "options are a list": (b'{"a": {"path": "p", "model": "m", "options": []}}', "entry 'a'.*options"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("action", ["entries", "add", "remove", "refuse_taken"])
def test_corrupt_file_is_left_untouched(registry, file, action: str, content: bytes, reason: str):
    """A corrupt file is an error with its path, whatever is wanted of it, and not a byte of it changes."""
    write(file, content)
    actions = {
        "entries": registry.entries,
        "add": lambda: registry.add("gemma", ENTRY),
        "remove": lambda: registry.remove("a"),
        "refuse_taken": lambda: registry.refuse_taken("gemma"),
    }

    with pytest.raises(RegistryError, match=f"{file} is corrupt: .*left untouched") as error:
        actions[action]()

    assert content == file.read_bytes()
    error.match(reason)


def test_unreadable_file_is_an_error(registry, file):
    """What stands at the place of the file and cannot be read is an error with the path."""
    file.mkdir(parents=True)

    with pytest.raises(RegistryError, match=f"{file} cannot be read"):
        registry.entries()


def test_failing_write_leaves_the_old_file(registry, file, monkeypatch):
    """Where the disk is full the file is as it was, and nothing is left beside it."""
    before = write(file, OLD_FILE)
    monkeypatch.setattr(os, "fsync", _disk_is_full)

    with pytest.raises(RegistryError, match=f"{file} cannot be written: No space left"):
        registry.add("gemma", ENTRY)

    beside = {f.name for f in file.parent.iterdir()} - {"model_map.json.lock"}
    assert (before, {"model_map.json"}) == (file.read_bytes(), beside)


def _disk_is_full(descriptor):
    raise OSError(28, "No space left on device")


def test_failing_write_lets_the_lock_go(registry, file, monkeypatch):
    """After a failed change the next one goes through."""
    monkeypatch.setattr(registry_module, "write_atomically", lambda *_: _disk_is_full(0))
    with pytest.raises(RegistryError):
        registry.add("gemma", ENTRY)
    monkeypatch.setattr(registry_module, "write_atomically", files_module.write_atomically)

    registry.add("gemma", ENTRY)

    assert ["gemma"] == list(registry.entries())


def test_locked_file_is_an_error_after_a_while(registry, file, monkeypatch):
    """A lock that another holds for too long is an error that says so."""
    monkeypatch.setattr(registry_module, "LOCK_LIMIT_S", 0.05)
    other = registry_over(file)

    with other._lock(), pytest.raises(RegistryError, match=f"{file} has been locked by another process"):
        registry.add("gemma", ENTRY)


def test_folder_that_cannot_be_made_is_an_error(tmp_path):
    """A data directory that cannot be made is an error with its path."""
    (tmp_path / "data").write_text("a file, no folder")
    registry = registry_over(tmp_path / "data" / "model_map.json")

    with pytest.raises(RegistryError, match=f"{tmp_path / 'data'} cannot be written"):
        registry.add("gemma", ENTRY)


def test_other_registry_sees_a_change_at_once(registry, file):
    """What one registry adds and removes, another over the same file sees at its next look."""
    other = registry_over(file)
    seen = [list(other.entries())]
    registry.add("gemma", ENTRY)
    seen.append(list(other.entries()))
    registry.remove("gemma")
    seen.append(list(other.entries()))

    assert [[], ["gemma"], []] == seen


def test_unchanged_file_is_not_read_again(registry, file, monkeypatch):
    """Looking twice at an unchanged file reads it once."""
    write(file, OLD_FILE)
    registry.entries()
    monkeypatch.setattr(Registry, "_read", lambda self: pytest.fail("it was read again"))

    assert list(OLD_FILE) == list(registry.entries())


def test_concurrent_adds_lose_nothing(file):
    """Several processes that add at the same time lose none of each other's names."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDER, str(file), f"p{number}", str(ADDS_EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.stdout.readline()  # it is ready, so that all begin together
    for process in processes:
        process.stdin.write(b"!")
        process.stdin.close()

    statuses = [process.wait(PROCESS_LIMIT_S) for process in processes]
    for process in processes:
        process.stdout.close()

    names = {f"p{p}-{n}" for p in range(PROCESSES) for n in range(ADDS_EACH)}
    assert ([0] * PROCESSES, names) == (statuses, set(registry_over(file).entries()))
