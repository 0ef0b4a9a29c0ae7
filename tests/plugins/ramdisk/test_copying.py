"""Copying in steps: the room first, then the content, then a look at what arrived."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading

import pytest

from hoshikage.plugins.ramdisk import copying
from hoshikage.plugins.ramdisk.copying import (
    STEP_BYTES,
    CopyDamaged,
    CopyingCancelled,
    Progress,
    SourceChanged,
    copy_parts,
    reserve,
    sha256_of_copy,
    yield_to_others,
)
from hoshikage.plugins.ramdisk.marker import SourcePart
from tests.plugins.ramdisk.disks import DISK_BYTES, MIB, damage, is_mounted, model

SIZES = (0, 1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 2 * STEP_BYTES)


class StepByStep(Progress):
    """A copying that does something of the test's before its n-th step."""

    __slots__ = ("act", "left")

    def __init__(self, act, *, before: int) -> None:
        super().__init__()
        self.act, self.left = act, before

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()
        super().check()


@pytest.fixture
def folder(disk):
    """Where the copies go."""
    (disk / "copies").mkdir()
    return disk / "copies"


def parts_of(*records) -> list[SourcePart]:
    return [SourcePart.of(record.file) for record in records]


@pytest.mark.parametrize("size", SIZES)
def test_size_and_content(folder, models, size):
    """Files of any size arrive whole, with the SHA-256 of their content, and cannot be written by mistake."""
    record = model(models / "a", size_bytes=size)
    progress = Progress()
    reserve(folder, parts_of(record), progress)

    (mark,) = copy_parts(parts_of(record), folder, progress, verify=True)

    content = (folder / "a").read_bytes()
    assert record.file.read_bytes() == content
    assert (hashlib.sha256(content).hexdigest(), size) == (mark.sha256, progress.done_bytes)
    assert (folder / "a").stat().st_mtime_ns == mark.copy_mtime_ns
    assert 0o400 == (folder / "a").stat().st_mode & 0o777


def test_the_room_is_taken_first(folder, models):
    """After the reservation the files have their size, and the RAM disk has so much less room."""
    record = model(models / "a", size_bytes=8 * MIB)

    reserve(folder, parts_of(record), Progress())

    assert (8 * MIB, 8 * MIB) == ((folder / "a").stat().st_size, (folder / "a").stat().st_blocks * 512)


def test_a_full_ram_disk_is_an_error_and_no_signal(disk, folder, models, monkeypatch):
    """Without room the reservation fails with `ENOSPC`."""
    record = model(models / "a", size_bytes=DISK_BYTES + MIB)
    if not is_mounted(disk):  # never fill the tmpfs that the whole machine shares: that takes its memory away
        monkeypatch.setattr(copying.os, "posix_fallocate", no_room)

    with pytest.raises(OSError) as caught:
        reserve(folder, parts_of(record), StepByStep(lambda: None, before=0))

    assert errno.ENOSPC == caught.value.errno


def no_room(descriptor: int, offset: int, size: int) -> None:
    """A file system without room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_cancelled_between_steps(folder, models, step):
    """A copying that is cancelled ends before its next step."""
    record = model(models / "a", size_bytes=3 * STEP_BYTES)
    reserve(folder, parts_of(record), Progress())
    cancelled = threading.Event()
    progress = StepByStep(cancelled.set, before=step)
    progress.cancelled = cancelled

    with pytest.raises(CopyingCancelled):
        copy_parts(parts_of(record), folder, progress, verify=True)

    assert (step - 1) * STEP_BYTES == progress.done_bytes


def test_a_reservation_can_be_cancelled(folder, models):
    """So can the reservation, which may take seconds too."""
    progress = Progress(cancelled=threading.Event())
    progress.cancelled.set()

    with pytest.raises(CopyingCancelled):
        reserve(folder, parts_of(model(models / "a")), progress)


@pytest.mark.parametrize("change", ["written", "cut", "grown", "replaced", "deleted", "touched"])
@pytest.mark.parametrize("which", ["a", "b"])
def test_a_source_that_changes(folder, models, change, which):
    """Whatever happens to a source while any part is copied, the copy is not taken for good."""
    records = [model(models / name, size_bytes=2 * STEP_BYTES) for name in ("a", "b")]
    parts = parts_of(*records)
    reserve(folder, parts, Progress())
    file = models / which

    def act() -> None:
        match change:
            case "written":
                damage(file, at=5)
            case "cut" | "grown":
                os.truncate(file, STEP_BYTES if change == "cut" else 3 * STEP_BYTES)
            case "replaced":
                os.utime(model(models / "new", size_bytes=2 * STEP_BYTES).file, ns=(0, parts[0].mtime_ns))
                (models / "new").replace(file)
            case "deleted":
                file.unlink()
            case "touched":
                os.utime(file, (1, 1))

    with pytest.raises((SourceChanged, FileNotFoundError)):
        copy_parts(parts, folder, StepByStep(act, before=2), verify=False)


@pytest.mark.parametrize("verify", [True, False])
def test_a_copy_that_does_not_read_back(folder, models, monkeypatch, verify):
    """A bit that flips on its way is noticed by reading back, where that is not switched off."""
    record = model(models / "a")
    reserve(folder, parts_of(record), Progress())
    monkeypatch.setattr(copying.os, "fchmod", lambda fd, mode: os.pwrite(fd, b"!", 7))

    if not verify:
        assert copy_parts(parts_of(record), folder, Progress(), verify=False)
        return
    with pytest.raises(CopyDamaged):
        copy_parts(parts_of(record), folder, Progress(), verify=True)


def test_a_link_in_place_of_a_copy_is_not_written_to(folder, models, tmp_path):
    """What stands where the copy should go is neither written to nor followed."""
    record = model(models / "a")
    (tmp_path / "precious").write_bytes(b"x")
    (folder / "a").symlink_to(tmp_path / "precious")

    for work in (
        lambda: reserve(folder, parts_of(record), Progress()),
        lambda: copy_parts(parts_of(record), folder, Progress(), verify=True),
        lambda: sha256_of_copy(folder / "a", Progress()),
    ):
        with pytest.raises(OSError):
            work()

    assert b"x" == (tmp_path / "precious").read_bytes()


def test_a_pipe_in_place_of_the_source(folder, models):
    """A pipe that has taken the file's place is not waited for: the source has changed."""
    record = model(models / "a")
    parts = parts_of(record)
    reserve(folder, parts, Progress())
    record.file.unlink()
    os.mkfifo(record.file)

    with pytest.raises(SourceChanged):
        copy_parts(parts, folder, Progress(), verify=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priorities of their own")
@pytest.mark.parametrize(("own", "copying"), [(0, 10), (5, 10), (15, 15)])
def test_copying_yields_to_others(own, copying):
    """Threads that copy stand behind answers; under a server that already runs behind all others they stay there."""
    found = []

    def run() -> None:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(own, os.getpriority(os.PRIO_PROCESS, thread)))
        yield_to_others()
        found.append(os.getpriority(os.PRIO_PROCESS, thread))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert [max(copying, os.getpriority(os.PRIO_PROCESS, 0))] == found
