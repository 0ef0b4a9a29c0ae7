"""Files that hold a text and its memory, and notice their own damage."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker import state_file
from hoshikage.plugins.engine_llamacpp.worker.state_file import (
    PREFIX,
    BadStateFile,
    Head,
    read_memory,
    read_tokens,
    write_state,
)

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [1, 7, 49_000, 0]
MEMORY = bytes(range(256)) * 20

WRITER = """
import sys, pathlib
from hoshikage.plugins.engine_llamacpp.worker.state_file import write_state
folder = pathlib.Path(sys.argv[1])
print("begun", flush=True)
number = 0
while True:
    write_state(folder / f"{number % 5}.state", key="k", scope="", tokens=[number], memory=bytes(3_000_000))
    number += 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A whole file."""
    file = tmp_path / "a.state"
    write_state(file, key="model", scope="all", tokens=TOKENS, memory=MEMORY)
    return file


def test_a_text_comes_back_as_it_was(file: Path):
    """Tokens can be read without the memory, and the memory is the same bytes."""
    head, tokens = read_tokens(file)

    assert ("model", "all", TOKENS) == (head.key, head.scope, tokens)
    assert MEMORY == read_memory(file)


def test_only_the_owner_may_read(file: Path):
    """The file holds what people said."""
    assert 0o600 == file.stat().st_mode & 0o777


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where there is no room, the folder is as it was."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_file.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_state(tmp_path / "a.state", key="", scope="", tokens=TOKENS, memory=MEMORY)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 3, PREFIX.size, PREFIX.size + 5, -1])
def test_a_file_that_is_cut_short_is_refused(file: Path, keep: int):
    """At any place, by its length or what is missing."""
    data = file.read_bytes()
    file.write_bytes(data[:keep])

    with pytest.raises(BadStateFile):
        read_memory(file)


@settings(max_examples=150)
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """Whatever bytes are changed, either the file is refused or what was asked for is as it was."""
    file = tmp_path_factory.mktemp("s") / "a.state"
    write_state(file, key="k", scope="s", tokens=TOKENS, memory=MEMORY)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)

    try:
        memory = read_memory(file)
    except BadStateFile:
        return
    assert MEMORY == memory


@pytest.mark.parametrize(
    "head",
    [
        Head("k", "", 1 << 40, 0, 0, 0),
        Head("k", "", -1, 100, 0, 0),
        Head("k", "", 2, -4, 0, 0),
        Head("k", "", 0, 0, 0, 0),
        Head("k", "", 1, 1 << 60, 0, 0),
    ],
)
def test_hostile_numbers_are_refused_before_anything_is_read(tmp_path: Path, head: Head):
    """What the head claims is checked against the length of the file, so it never asks for memory that is not there."""
    file = tmp_path / "a.state"
    raw = msgspec.msgpack.encode(head)
    file.write_bytes(PREFIX.pack(state_file.MAGIC, state_file.VERSION, len(raw)) + raw + b"\0" * 16)

    with pytest.raises(BadStateFile):
        read_tokens(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF" + b"\0" * 100,
        PREFIX.pack(b"HSKSTATE", 99, 4) + b"\0" * 50,
        PREFIX.pack(b"HSKSTATE", 1, 1 << 31),
    ],
    ids=["empty", "another kind", "a later version", "a giant head"],
)
def test_what_is_no_state_is_refused(tmp_path: Path, content: bytes):
    """Files of others, and of later versions."""
    file = tmp_path / "a.state"
    file.write_bytes(content)

    with pytest.raises(BadStateFile):
        read_tokens(file)


def test_a_writer_that_is_killed_leaves_whole_files_only(tmp_path: Path):
    """At whatever moment the process is killed, each file under its final name is whole."""
    for moment in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert b"begun\n" == process.stdout.readline()
            time.sleep(0.003 * moment)
            process.kill()
        for file in tmp_path.glob("[0-9].state"):
            assert 3_000_000 == len(read_memory(file))


def test_a_missing_file_is_refused_in_words(tmp_path: Path):
    """The reason is the system's."""
    with pytest.raises(BadStateFile, match="No such file"):
        read_memory(tmp_path / "gone.state")


def test_an_unreadable_folder_is_refused_in_words(tmp_path: Path):
    """A folder is no file."""
    (tmp_path / "a.state").mkdir()

    with pytest.raises(BadStateFile, match="directory"):
        read_tokens(tmp_path / "a.state")
