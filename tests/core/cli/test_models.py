from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.core.importing.stores import LORA

if TYPE_CHECKING:
    from pathlib import Path

    from tests.core.cli.conftest import CommandLine


def model_map(hoshikage: CommandLine) -> dict:
    return json.loads((hoshikage.data_dir / "model_map.json").read_text())


def test_add_writes_all_three_files(hoshikage: CommandLine, small_gguf: Path):
    """A new name is in the model map and in both tags files, with the file's real digest."""
    done = hoshikage("add", str(small_gguf), "small")

    cache = json.loads((hoshikage.data_dir / "tags_cache.json").read_text())
    tags = json.loads((hoshikage.data_dir / "tags_ollama.json").read_text())
    assert done.returncode == 0
    assert model_map(hoshikage) == {"small": {"path": str(small_gguf.parent), "model": "small.gguf", "stop": []}}
    assert [row["id"] for row in cache["data"]] == ["small"]
    assert tags["models"][0]["digest"] == hashlib.sha256(small_gguf.read_bytes()).hexdigest()


@pytest.mark.parametrize("stops", [["<|im_end|>,<|eot_id|>"], ["<|im_end|>", "<|eot_id|>"]])
def test_add_takes_stop_strings_both_ways(hoshikage: CommandLine, small_gguf: Path, stops: list[str]):
    """Stop strings come as one argument with commas, or as one argument each."""
    hoshikage("add", str(small_gguf), "small", *stops)

    assert model_map(hoshikage)["small"]["stop"] == ["<|im_end|>", "<|eot_id|>"]


def test_add_refuses_a_taken_name(hoshikage: CommandLine, small_gguf: Path):
    """A name can be given once, whatever its case and tag; the error says what to do."""
    hoshikage("add", str(small_gguf), "small")
    before = (hoshikage.data_dir / "model_map.json").read_bytes()

    done = hoshikage("add", str(small_gguf), "SMALL:latest")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "hoshikage rm small" in done.stderr
    assert before == (hoshikage.data_dir / "model_map.json").read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "does not exist"), (b"", "empty"), (b"not a gguf at all, but long enough", "GGUF")],
    ids=["missing", "empty", "no_gguf"],
)
def test_add_refuses_what_is_no_model(hoshikage: CommandLine, tmp_path: Path, content: bytes | None, words: str):
    """A missing, empty or foreign file is one line and exit 1, and nothing is registered."""
    file = tmp_path / "bad.gguf"
    if content is not None:
        file.write_bytes(content)

    done = hoshikage("add", str(file), "bad")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(file) in done.stderr
    assert words.lower() in done.stderr.lower()
    assert not (hoshikage.data_dir / "model_map.json").exists()


def test_add_refuses_what_only_belongs_to_a_model(hoshikage: CommandLine, tmp_path: Path):
    """An adapter is a whole GGUF, but nothing that could be loaded by itself."""
    file = tmp_path / "lora.gguf"
    file.write_bytes(LORA)

    done = hoshikage("add", str(file), "lora")

    assert (1, f"error: {file}: this is no model, its type is 'adapter'; name the model it belongs to\n") == (
        done.returncode,
        done.stderr,
    )
    assert not (hoshikage.data_dir / "model_map.json").exists()


def test_add_refuses_a_truncated_model(hoshikage: CommandLine, small_gguf: Path):
    """A file that ends before its tensors do is refused."""
    small_gguf.write_bytes(small_gguf.read_bytes()[:-64])

    done = hoshikage("add", str(small_gguf), "small")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not (hoshikage.data_dir / "model_map.json").exists()


@pytest.mark.parametrize("name", ["../up", "a\nb"])
def test_add_refuses_names_that_a_path_would_trip_over(hoshikage: CommandLine, small_gguf: Path, name: str):
    """A name cannot lead out of a folder or break a line; `test_names.py` has all that is not allowed."""
    done = hoshikage("add", "--", str(small_gguf), name)

    assert done.returncode == 1
    assert "name" in done.stderr


def test_add_takes_japanese_names(hoshikage: CommandLine, small_gguf: Path):
    """Names in Japanese are written as they are, not escaped."""
    hoshikage("add", str(small_gguf), "星影")

    assert "星影" in (hoshikage.data_dir / "model_map.json").read_text()


def test_a_corrupt_map_stops_add_and_is_left_alone(hoshikage: CommandLine, small_gguf: Path):
    """`add` on a corrupt map is one line and exit 1; not a byte of it changes."""
    (hoshikage.data_dir / "model_map.json").write_text("{oops")

    done = hoshikage("add", str(small_gguf), "small")

    assert done.returncode == 1
    assert "corrupt" in done.stderr
    assert (hoshikage.data_dir / "model_map.json").read_text() == "{oops"


@pytest.mark.parametrize("command", ["rm", "remove"])
def test_rm_forgets_the_name_and_keeps_the_file(hoshikage: CommandLine, small_gguf: Path, command: str):
    """Both spellings remove a name from all three files, not the model's file."""
    hoshikage("add", str(small_gguf), "small")

    done = hoshikage(command, "small")

    assert done.returncode == 0
    assert model_map(hoshikage) == {}
    assert json.loads((hoshikage.data_dir / "tags_ollama.json").read_text()) == {"models": []}
    assert small_gguf.exists()


def test_rm_does_not_claim_a_file_that_was_not_there(hoshikage: CommandLine, small_gguf: Path):
    """Neither one that had vanished before, nor that of a model which has none."""
    hoshikage("add", str(small_gguf), "small")
    small_gguf.unlink()
    entries = {**model_map(hoshikage), "fake": {"path": "", "model": "", "stop": [], "engine": "echo"}}
    (hoshikage.data_dir / "model_map.json").write_text(json.dumps(entries))

    said = [hoshikage("rm", name).stdout for name in ("small", "fake")]

    assert ["removed small; its file was not there any more\n", "removed fake\n"] == said


def test_rm_of_an_unknown_name_is_one_line(hoshikage: CommandLine):
    """Removing what is not there is exit 1."""
    done = hoshikage("rm", "nobody")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nobody" in done.stderr


def test_list_shows_names_sizes_and_missing_files(hoshikage: CommandLine, small_gguf: Path):
    """The list has each model with its size and file, and says where a file is gone."""
    hoshikage("add", str(small_gguf), "small")
    here = hoshikage("list").stdout
    small_gguf.unlink()

    gone = hoshikage("list").stdout

    assert str(small_gguf) in here
    assert "(missing)" not in here
    assert "(missing)" in gone


def test_show_has_the_facts_of_the_header(hoshikage: CommandLine, small_gguf: Path):
    """`show` reads the file's header."""
    hoshikage("add", str(small_gguf), "small")

    shown = hoshikage.json("show", "small")

    assert shown["architecture"] == "llama"
    assert shown["context_length"] == 128
    assert shown["size_bytes"] == small_gguf.stat().st_size


def test_the_models_folder_is_offered(hoshikage: CommandLine, small_gguf: Path):
    """The old MODEL_DIR still offers every GGUF of a folder."""
    names = [row["name"] for row in hoshikage.json("list", MODEL_DIR=str(small_gguf.parent))]

    assert "small" in names


def test_rm_lets_go_of_what_came_for_the_model(hoshikage: CommandLine, small_gguf: Path):
    """A blob goes with the last model that names it, and the line says so; a file that was added stays."""
    hexadecimal = hashlib.sha256(small_gguf.read_bytes()).hexdigest()
    blob = hoshikage.data_dir / "blobs" / f"sha256-{hexadecimal}"
    blob.parent.mkdir()
    blob.write_bytes(small_gguf.read_bytes())
    entry = {"path": str(blob.parent), "model": blob.name, "stop": [], "owned": [blob.name]}
    (hoshikage.data_dir / "model_map.json").write_text(json.dumps({"a": entry, "b": entry}))
    hoshikage("add", str(small_gguf), "mine")

    first = hoshikage("rm", "a").stdout
    there = blob.exists()
    second = hoshikage("rm", "B:latest").stdout
    third = hoshikage("rm", "mine").stdout

    assert ("removed a; its file stays where it is\n", True) == (first, there)
    assert ("removed b; its file is gone too\n", False) == (second, blob.exists())
    assert ("removed mine; its file stays where it is\n", True) == (third, small_gguf.exists())


def test_show_says_how_a_model_was_made(hoshikage: CommandLine, small_gguf: Path):
    """What is written down besides the file, and nothing where there is nothing."""
    entry = {"path": str(small_gguf.parent), "model": small_gguf.name, "stop": []}
    made = {**entry, "system": "Be kind.", "parameters": {"top_k": 1}, "parent": "plain", "source": "created"}
    (hoshikage.data_dir / "model_map.json").write_text(json.dumps({"plain": entry, "made": made}))

    plain, shown = hoshikage.json("show", "plain"), hoshikage.json("show", "made")

    assert ("Be kind.", {"top_k": 1}, "plain", "created") == tuple(
        shown[key] for key in ("system", "sampling_parameters", "parent", "source")
    )
    assert not {"system", "sampling_parameters", "messages", "template", "license", "parent"} & set(plain)
