"""Places of the run's own."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from benchmarks.processes import start
from benchmarks.swap import ground as places
from benchmarks.swap.command import file_system_of
from benchmarks.swap.ground import Ground, ram_folder


def test_the_folder_on_the_ram_disk_is_gone_at_the_end(tmp_path: Path):
    """With all that servers have left in it, even after an error."""
    with ram_folder(tmp_path) as folder:
        assert folder is not None
        (folder / "copy").touch()
    interrupted = contextlib.suppress(KeyboardInterrupt)
    with interrupted, ram_folder(tmp_path):
        raise KeyboardInterrupt

    assert [] == list(tmp_path.iterdir())


async def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path):
    """It holds memory that nobody would look for; folders of runs that go on, and of others, stay."""
    child = await start([sys.executable, "-c", ""], tmp_path / "log")
    await child.stop()
    ram = tmp_path / "ram"
    names = [
        f"hoshikage-bench-{child.process.pid}-x",
        f"hoshikage-bench-{os.getpid()}-x",
        "hoshikage-bench-me",
        "other",
    ]
    for name in names:
        (ram / name / "deeper").mkdir(parents=True)
    with ram_folder(ram):
        pass

    assert sorted(names[1:]) == sorted(folder.name for folder in ram.iterdir())


def test_the_memory_that_is_left_bounds_the_ram_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A RAM disk may be larger than what can be had."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16384 kB\nMemAvailable:      12 kB\n")
    monkeypatch.setattr(places, "MEMINFO", meminfo)

    assert 12 * 1024 == Ground(tmp_path, tmp_path, tmp_path, 1, tmp_path).ram_free()


def test_without_a_ram_disk_there_is_no_folder(tmp_path: Path):
    """The rows say so, and go on."""
    with ram_folder(tmp_path / "none") as folder:
        ground = Ground(tmp_path, tmp_path, tmp_path, 1, folder)

        assert (None, 0, None) == (folder, ground.ram_free(), ground.ram_for("row"))


def test_a_row_begins_with_an_empty_ram_disk(tmp_path: Path):
    """What servers of an earlier row have staged would take the room of this one."""
    ground = Ground(tmp_path, tmp_path, tmp_path, 1, tmp_path)
    earlier = ground.ram_for("earlier")
    assert earlier is not None
    (earlier / "copy").touch()
    ground.clear_ram()

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("/home/x", "/dev/vda, ext4"), ("/tmp/bench/deeper", "tmpfs, tmpfs"), ("/tmpother", "/dev/vda, ext4")],
)
def test_the_file_system_of_a_folder_is_the_nearest(folder: str, expected: str):
    """The page says on what disk the large file was."""
    mounts = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\nold /tmp ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"

    assert expected == file_system_of(Path(folder), mounts)
