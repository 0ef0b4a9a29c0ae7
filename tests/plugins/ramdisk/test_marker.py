"""The marker: what it says, and what is none of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.core.gguf.parts import MAX_PARTS
from hoshikage.plugins.ramdisk.marker import (
    MARKER,
    Marker,
    SourcePart,
    is_copy_of,
    key_of,
    read_marker,
    state_of,
    write_marker,
)
from tests.plugins.ramdisk.disks import names_below

PART = SourcePart(Path("/m/a.gguf"), 3, 111, 222)
SOURCE = Path("/m/a.gguf")


def marker(**more) -> Marker:
    return Marker(source=str(SOURCE), parts=(PART.mark(sha256="0" * 64, **more),))


def test_what_is_written_is_read(tmp_path):
    """The marker comes back, with paths of any bytes."""
    written = Marker(source="/m/星\udcff.gguf", parts=(PART.mark(sha256="0" * 64, copy_mtime_ns=5),))

    write_marker(tmp_path, written)

    assert written == read_marker(tmp_path)
    assert [MARKER] == names_below(tmp_path)


def test_the_longest_marker_is_read(tmp_path):
    """A model of the most parts that there can be, with the longest names in their longest spelling, comes back."""
    names = ("\udcff" * 249 + f"-{n:05}" for n in range(MAX_PARTS))
    parts = [SourcePart(Path(name), 2**40, 2**62, 2**62) for name in names]
    written = Marker(source="/m", parts=tuple(p.mark(sha256="0" * 64, copy_mtime_ns=2**62) for p in parts))

    write_marker(tmp_path, written)

    assert written == read_marker(tmp_path)


def test_the_room_for_the_second_is_taken_with_the_first(tmp_path):
    """The second marker, longer by digests and times, is written into room that is there already."""
    plan = Marker(source=str(SOURCE), parts=tuple(PART.mark() for _ in range(50)))
    write_marker(tmp_path, plan, reserve=True)
    reserved = (tmp_path / f"{MARKER}.new").stat()
    final = Marker(source=str(SOURCE), parts=tuple(PART.mark(sha256="f" * 64, copy_mtime_ns=2**62) for _ in range(50)))

    write_marker(tmp_path, final)

    status = (tmp_path / MARKER).stat()
    assert final == read_marker(tmp_path)
    assert (reserved.st_ino, True) == (status.st_ino, status.st_size <= reserved.st_size)
    assert [MARKER] == names_below(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"source": "/x", "parts": []}',
        json.dumps({"source": "/x", "version": 2, "parts": [{"name": "a"}]}).encode(),
        *(
            json.dumps(
                {"source": "/x", "parts": [{"name": n, "size_bytes": 1, "source_mtime_ns": 1, "source_inode": 1}]}
            ).encode()
            for n in ("../a", "/etc/passwd", "", ".", "..", "a/b", MARKER)
        ),
    ],
)
def test_what_is_no_marker_of_ours(tmp_path, content):
    """Damaged, of another version, or naming a file elsewhere: none of ours, so nothing there gets deleted."""
    (tmp_path / MARKER).write_bytes(content)

    assert read_marker(tmp_path) is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_fault(tmp_path_factory, content):
    """No content of a marker makes the reading fail."""
    folder = tmp_path_factory.mktemp("marker")
    (folder / MARKER).write_bytes(content)

    assert read_marker(folder) is None


def test_a_link_a_folder_and_a_pipe_are_no_markers(tmp_path):
    """Only a file is read; a pipe, which would block, is not."""
    write_marker(tmp_path, marker())
    for name, make in {
        "link": lambda f: f.symlink_to(tmp_path / MARKER),
        "folder": lambda f: f.mkdir(),
        "pipe": os.mkfifo,
    }.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / MARKER)

        assert read_marker(tmp_path / name) is None


def test_the_key_is_readable_and_of_one_version():
    """The folder's name shows the model's; path, size, time and inode each make another one."""
    others = [
        key_of(Path("/n/a.gguf"), [PART]),
        *(
            key_of(SOURCE, [SourcePart(*values)])
            for values in ((SOURCE, 4, 111, 222), (SOURCE, 3, 112, 222), (SOURCE, 3, 111, 223))
        ),
        key_of(SOURCE, [PART, PART]),
    ]

    assert key_of(SOURCE, [PART]).startswith("a-")
    assert 6 == len({key_of(SOURCE, [PART]), *others})


@settings(deadline=None)
@given(st.text(min_size=1))
def test_every_key_is_a_plain_name(name):
    """Whatever the file is called, its folder's name is short and plain, and no hidden one."""
    key = key_of(Path("/m") / f"{name}.gguf", [PART])

    assert len(key) <= 80
    assert key.replace("-", "").replace("_", "").isalnum()


def test_a_marker_belongs_to_one_version():
    """It is a copy of the same file in the same version only."""
    assert is_copy_of(marker(), SOURCE, [PART])
    assert not is_copy_of(marker(), Path("/m/b.gguf"), [PART])
    assert not is_copy_of(marker(), SOURCE, [SourcePart(SOURCE, 3, 112, 222)])
    assert not is_copy_of(marker(), SOURCE, [PART, PART])


@pytest.mark.parametrize(
    ("content", "mtime_ns", "sha256", "expected"),
    [
        (b"abc", 7000, "0" * 64, "whole"),
        (b"abc", 8000, "0" * 64, "touched"),
        (b"abcd", 7000, "0" * 64, "damaged"),
        (b"abc", 7000, "", "damaged"),
        (None, 0, "0" * 64, "damaged"),
    ],
)
def test_the_state_of_a_copy(tmp_path, content, mtime_ns, sha256, expected):
    """Size and time say whether a copy is as it was left; one that was never completed is not."""
    if content is not None:
        (tmp_path / "a.gguf").write_bytes(content)
        os.utime(tmp_path / "a.gguf", ns=(0, mtime_ns))

    assert expected == state_of(
        Marker(source=str(SOURCE), parts=(PART.mark(sha256=sha256, copy_mtime_ns=7000),)), tmp_path
    )
