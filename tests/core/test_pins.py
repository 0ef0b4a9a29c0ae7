"""Pins: names in a small file that server and command line share."""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from structlog.testing import capture_logs

from hoshikage.core import pins as pins_module
from hoshikage.core.errors import RegistryError
from hoshikage.core.pins import Pins

if TYPE_CHECKING:
    from pathlib import Path

WRITERS = 4
EACH = 5
LIMIT_S = 30.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "pins.json"


def test_nothing_is_pinned_at_first(file: Path):
    """Without a file nothing is pinned, and none is made by looking."""
    assert ("a" in Pins(file), []) == (False, Pins(file).names())
    assert not file.parent.exists()


def test_pins_are_shared(file: Path):
    """What one pins another one sees at once, and no longer when it is unpinned."""
    one, other = Pins(file), Pins(file)
    one.set("b", pinned=True)
    one.set("a", pinned=True)
    before = other.names()
    one.set("a", pinned=False)

    assert (["a", "b"], ["b"]) == (before, other.names())


@pytest.mark.parametrize("name", ["Gemma", "gemma:latest", "GEMMA"])
def test_every_spelling_of_a_name_is_one(file: Path, name: str):
    """Case and the tag `latest` do not matter."""
    Pins(file).set(name, pinned=True)
    Pins(file).set("gemma", pinned=True)

    assert (["gemma"], True) == (Pins(file).names(), name in Pins(file))


def test_unpinning_what_is_not_pinned_does_nothing(file: Path):
    """It is not an error."""
    Pins(file).set("a", pinned=False)

    assert [] == json.loads(file.read_text())


def test_japanese_names_are_kept(file: Path):
    """A name is written as it is."""
    Pins(file).set("星影", pinned=True)

    assert "星影" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{oops", b'{"a": 1}', b"[1]", b'["\xff"]'])
def test_a_damaged_file_pins_nothing(file: Path, content: bytes):
    """A file that cannot be read is said in the log; pinning again writes a good one."""
    file.parent.mkdir()
    file.write_bytes(content)
    with capture_logs() as logs:
        damaged = "a" in Pins(file)
        Pins(file).set("a", pinned=True)

    assert (False, ["a"]) == (damaged, Pins(file).names())
    assert {"pins_unreadable"} == {line["event"] for line in logs}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a file that never can be read")
def test_pins_that_cannot_be_read_are_not_lost(file: Path):
    """Where the disk does not give the pins, none is seen for now, and nothing is written over them."""
    file.parent.mkdir()
    file.symlink_to("/proc/self/mem")

    assert [] == Pins(file).names()
    with pytest.raises(RegistryError, match=r"pins\.json cannot be read: .*Input/output error"):
        Pins(file).set("a", pinned=True)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    """The error names the file."""
    (tmp_path / "data").write_text("a file, no folder")

    with pytest.raises(RegistryError, match=r"pins\.json cannot be written"):
        Pins(tmp_path / "data" / "pins.json").set("a", pinned=True)


def test_a_lock_that_is_never_freed_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch):
    """Who holds the lock for too long does not hold up the others for ever."""
    monkeypatch.setattr(pins_module, "LOCK_LIMIT_S", 0.05)
    file.parent.mkdir()
    with FileLock(f"{file}.lock"), pytest.raises(RegistryError, match="cannot be written"):
        Pins(file).set("a", pinned=True)

    assert not file.exists()


def test_many_writers_lose_nothing(file: Path):
    """Processes that pin at the same time do not undo each other."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=pin_some, args=(file, number)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(LIMIT_S)

    assert sorted(f"m{w}-{n}" for w in range(WRITERS) for n in range(EACH)) == Pins(file).names()


def pin_some(file: Path, number: int) -> None:
    for n in range(EACH):
        Pins(file).set(f"m{number}-{n}", pinned=True)
