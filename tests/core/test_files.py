"""Atomic writes: the old content or the new, and nothing left behind."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from hoshikage.core.files import sync_folder, why_not, write_atomically


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_file_is_made_with_its_folders(tmp_path):
    """A new file is written, and the folders above it are made."""
    file = tmp_path / "a" / "b" / "x.json"

    write_atomically(file, b"new")

    assert b"new" == file.read_bytes()


def test_file_is_replaced(tmp_path):
    """An existing file has the new content afterwards."""
    file = tmp_path / "x.json"
    file.write_bytes(b"old and longer")

    write_atomically(file, b"new")

    assert b"new" == file.read_bytes()


def test_nothing_else_is_left(tmp_path):
    """No temporary file stays behind."""
    write_atomically(tmp_path / "x.json", b"new")

    assert ["x.json"] == names_in(tmp_path)


def test_new_file_may_be_read_by_all(tmp_path):
    """A new file is readable by others, as if it had been written in place."""
    file = tmp_path / "x.json"

    write_atomically(file, b"new")

    assert 0o644 == stat.S_IMODE(file.stat().st_mode)


def test_permissions_are_kept(tmp_path):
    """A file that was made private stays private."""
    file = tmp_path / "x.json"
    file.write_bytes(b"old")
    file.chmod(0o600)

    write_atomically(file, b"new")

    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_reader_that_has_the_file_open_sees_the_old_content(tmp_path):
    """A reader that opened the file before reads the old content to its end."""
    file = tmp_path / "x.json"
    file.write_bytes(b"old")
    with file.open("rb") as stream:
        write_atomically(file, b"new")

        assert b"old" == stream.read()


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_failing_write_leaves_the_old_file_alone(tmp_path, monkeypatch, step: str):
    """Where a step of the write fails, the old file stands and the temporary one is gone."""
    file = tmp_path / "x.json"
    file.write_bytes(b"old")
    monkeypatch.setattr(os if step == "fsync" else Path, step, _disk_is_full)

    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"new")

    assert (b"old", ["x.json"]) == (file.read_bytes(), names_in(tmp_path))


def _disk_is_full(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_a_link_stays_a_link(tmp_path):
    """Writing through a symbolic link changes the file that it points to."""
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomically(link, b"new")

    assert (True, b"new") == (link.is_symlink(), real.read_bytes())


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, r"No space left .* \(\d+ bytes are free\); make room"), (errno.EACCES, "rights")],
)
def test_a_failure_of_the_disk_says_what_to_do(tmp_path: Path, number: int, words: str):
    """A full disk needs room, and the words say how much there is; everything else needs a look."""
    assert re.search(words, why_not(OSError(number, os.strerror(number)), tmp_path))


def test_a_folder_that_is_gone_has_no_room_to_tell(tmp_path: Path):
    """The words for a full disk never fail themselves."""
    assert "cannot be told" in why_not(OSError(errno.ENOSPC, "full"), tmp_path / "gone")


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SMB and some FUSE file systems refuse it; a disk that fails does not pass."""
    answers = [errno.EINVAL, errno.EIO]

    def refuse(_: int) -> None:
        raise OSError(answers.pop(0), "no")

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)

    with pytest.raises(OSError, match="no"):
        sync_folder(tmp_path)
