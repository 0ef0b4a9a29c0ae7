"""What can go wrong with sources, copies and the place, brought about for real."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.errors import StagingRefused
from tests.fakes import until
from tests.plugins.ramdisk.disks import (
    DISK_BYTES,
    MIB,
    again,
    damage,
    is_mounted,
    model,
    mount,
    names_below,
    ram_disk,
    remount,
    unmount,
)

if TYPE_CHECKING:
    from hoshikage import StagedCopy
    from hoshikage.plugins.ramdisk.stager import RamDisk

LARGE_BYTES = 96 * MIB
NOBODY = 65534


async def copying(stager: RamDisk, record) -> asyncio.Task[StagedCopy]:
    """A copying that is under way."""
    task = asyncio.create_task(stager.stage(record))
    await until(lambda: any(view.done_bytes for view in stager.views()))
    return task


# --- no room ---


async def test_a_model_larger_than_the_ram_disk(stager_on, disk, models):
    """It is refused with the bytes, before a copy goes for it; nothing is left, foreign files are untouched."""
    (disk / "foreign").write_bytes(b"mine")
    # Where the RAM disk is not the test's own, a budget stands for its size: nobody may fill the machine's.
    stager = await stager_on(disk, size_mib=1 << 20 if is_mounted(disk) else DISK_BYTES // MIB)
    small = model(models / "small.gguf")
    await stager.stage(small)
    large = model(models / "large.gguf", size_bytes=DISK_BYTES + MIB)

    with pytest.raises(StagingRefused, match=r"no room on the RAM disk .* bytes are needed and \d+ are missing"):
        await stager.stage(large)

    assert ["hoshikage.json", "small.gguf"] == [Path(name).name for name in names_below(disk / "models")]
    assert stager.find(small)
    assert b"mine" == (disk / "foreign").read_bytes()


async def test_a_ram_disk_that_others_fill(stager_on, disk, models):
    """What a stranger's file takes is not there for copies; when it goes, there is room again."""
    stager = await stager_on(disk, size_mib=64)
    record = model(models / "a.gguf", size_bytes=40 * MIB)
    system = os.statvfs(disk)
    with (disk / "foreign").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, min(system.f_bavail * system.f_frsize - 30 * MIB, 40 * MIB))

    mounted = is_mounted(disk)  # elsewhere the tmpfs is too large to be filled, and the copy fits
    if mounted:
        with pytest.raises(StagingRefused, match="the RAM disk has"):
            await stager.stage(record)
        assert 0 == stager.space().used_bytes
    (disk / "foreign").unlink()

    assert 40 * MIB == (await stager.stage(record)).size_bytes


async def test_a_ram_disk_that_others_fill_meanwhile(stager_on, tmp_path, models):
    """Once the copying runs, its room is taken: another may fill the rest to the last byte."""
    record = model(models / "a.gguf", size_bytes=LARGE_BYTES)
    with ram_disk(tmp_path / "ram", size_bytes=LARGE_BYTES + 8 * MIB) as disk:
        stager = await stager_on(disk, size_mib=1024)
        task = await copying(stager, record)
        fill(disk / "foreign", at_most=64 * MIB)

        copy = await task

        assert record.file.read_bytes() == copy.file.read_bytes()
        await stager.stop()
        assert ["foreign"] == names_below(disk)


def fill(file: Path, *, at_most: int) -> None:
    """Write until there is no room, byte by byte in the end."""
    with file.open("wb", buffering=0) as stream:
        for size in (MIB, 4096, 1):
            while stream.tell() < at_most:
                try:
                    stream.write(bytes(size))
                except OSError:
                    break


# --- the source ---


@pytest.mark.parametrize("new_bytes", [LARGE_BYTES, 1000])
async def test_a_source_replaced_while_copying(stager_on, large_disk, models, new_bytes):
    """The half copy of the old file is thrown away, and the new file is copied."""
    stager = await stager_on(large_disk, size_mib=1024)
    record = model(models / "a.gguf", size_bytes=LARGE_BYTES)
    task = await copying(stager, record)
    new = model(models / "new", size_bytes=new_bytes, fill=b"new")
    new.file.replace(record.file)

    copy = await task

    assert record.file.read_bytes() == copy.file.read_bytes()
    assert copy == stager.find(again(record))
    assert 1 == len(list((large_disk / "models").iterdir()))


@pytest.mark.parametrize("change", ["grown", "cut", "rewritten"])
async def test_a_source_changed_while_copying(stager_on, large_disk, models, change):
    """A file that is written to, grown or cut meanwhile is copied again, as it is then."""
    stager = await stager_on(large_disk, size_mib=1024)
    record = model(models / "a.gguf", size_bytes=LARGE_BYTES)
    task = await copying(stager, record)
    if change == "rewritten":
        damage(record.file, at=LARGE_BYTES - 1)
    else:
        os.truncate(record.file, LARGE_BYTES + 5 if change == "grown" else 5)

    copy = await task

    assert record.file.read_bytes() == copy.file.read_bytes()
    assert 1 == len(list((large_disk / "models").iterdir()))


async def test_a_source_that_goes_on_changing(stager_on, large_disk, models):
    """A file that is still being written is refused after the second try, and nothing is left."""
    stager = await stager_on(large_disk, size_mib=1024)
    record = model(models / "a.gguf", size_bytes=LARGE_BYTES)
    done = threading.Event()

    def write_on() -> None:
        while not done.wait(0.005):
            os.utime(record.file)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        with pytest.raises(StagingRefused, match="changed while it was copied, and again"):
            await stager.stage(record)
    finally:
        done.set()
        writer.join()

    assert [] == names_below(large_disk / "models")


async def test_a_source_that_cannot_be_read(stager, models, disk):
    """A folder under a model's name is refused with the reason."""
    (models / "folder.gguf").mkdir()
    record = replace(model(models / "a.gguf"), file=models / "folder.gguf")

    with pytest.raises(StagingRefused, match=r"folder\.gguf"):
        await stager.stage(record)

    assert [] == names_below(disk / "models")


# --- the copy ---


@pytest.mark.parametrize("harm", ["cut", "grown", "changed", "deleted", "link"])
async def test_a_damaged_copy_is_made_anew(stager, record, harm):
    """A copy of another size or time is not found any more; staging makes it anew."""
    copy = await stager.stage(record)
    copy.file.chmod(0o600)
    match harm:
        case "cut":
            os.truncate(copy.file, 10)
        case "grown":
            os.truncate(copy.file, 2 * MIB)
        case "changed":
            damage(copy.file, at=5)
        case "deleted":
            copy.file.unlink()
        case "link":
            copy.file.unlink()
            copy.file.symlink_to(record.file)

    found = stager.find(record)
    new = await stager.stage(record)

    assert found is None
    assert record.file.read_bytes() == new.file.read_bytes()
    assert not new.file.is_symlink()
    assert new == stager.find(record)


async def test_a_copy_with_a_new_time_alone_is_kept(stager, record):
    """Where only the time differs, the copy is read again and kept."""
    copy = await stager.stage(record)
    inode = copy.file.stat().st_ino
    os.utime(copy.file, (1, 1))

    found = stager.find(record)
    new = await stager.stage(record)

    assert found is None
    assert (copy, inode) == (new, new.file.stat().st_ino)
    assert copy == stager.find(record)


async def test_a_damaged_copy_that_is_held(stager, record):
    """Loaded models read from it, so it cannot be made anew: refused with that reason."""
    copy = await stager.stage(record)
    stager.hold(record)
    damage(copy.file, at=5)

    with pytest.raises(StagingRefused, match="loaded models read from it"):
        await stager.stage(record)

    assert copy.file.is_file()


async def test_a_strangers_file_among_ours(stager, record):
    """A file that somebody put beside the copy stays when the copy goes; the model is then refused, with the folder."""
    copy = await stager.stage(record)
    (copy.file.parent / "foreign").write_bytes(b"mine")

    gone = await stager.unstage(record)

    assert gone
    assert ["foreign"] == names_below(copy.file.parent)
    with pytest.raises(StagingRefused, match="not ours"):
        await stager.stage(record)
    assert b"mine" == (copy.file.parent / "foreign").read_bytes()
    assert ["foreign"] == [Path(name).name for name in names_below(copy.file.parent.parent)]


async def test_links_in_the_place_are_not_followed(stager_on, disk, record, tmp_path):
    """Links among the copies, whatever they are called, lead nowhere: what they point to stays."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "hoshikage.json").write_text('{"source": "/x", "version": 1, "parts": []}')
    (disk / "models").mkdir(mode=0o700)
    for name in ("link", ".x.part", ".x.0.gone"):
        (disk / "models" / name).symlink_to(precious)

    stager = await stager_on(disk)
    await stager.stage(record)

    assert ["a.gguf"] == [view.file.name for view in stager.views()]
    await stager.stop()
    assert ["hoshikage.json"] == names_below(precious)
    assert 3 == len(list((disk / "models").iterdir()))


# --- the place ---


async def test_a_read_only_ram_disk(stager_on, tmp_path, record):
    """It is not available, and says why; where nothing can be mounted, a link to it is refused likewise."""
    point = tmp_path / "ro"
    point.mkdir()
    if not mount(point, "ro,mode=0700"):
        point.rmdir()
        point.symlink_to("/dev/shm")
    try:
        stager = await stager_on(point)
        space = stager.space()
    finally:
        unmount(point)

    assert not space.available
    assert "read-only" in space.reason or "symbolic link" in space.reason
    with pytest.raises(StagingRefused):
        await stager.stage(record)


async def test_a_ram_disk_that_becomes_read_only(stager_on, disk, record):
    """A place that cannot be written any more refuses with the reason; nothing breaks."""
    stager = await stager_on(disk)
    remounted = remount(disk, "ro")
    if not remounted:
        (disk / "models").rmdir()  # the next best: a folder that is not there cannot be written either
    try:
        with pytest.raises(StagingRefused, match="cannot be copied to the RAM disk"):
            await stager.stage(record)
    finally:
        remount(disk, "rw")

    assert () == stager.views()


async def test_a_place_that_is_gone(stager_on, tmp_path, record):
    """Where somebody takes the RAM disk away, it is not available any more, and staging is refused."""
    with ram_disk(tmp_path / "ram") as disk:
        inside = disk / "inside"
        stager = await stager_on(inside)
        await stager.stage(record)
        inside.rename(disk / "elsewhere")

        assert (False, None, ()) == (stager.space().available, stager.find(record), stager.views())
        with pytest.raises(StagingRefused):
            await stager.stage(record)


def test_no_tmpfs_and_no_right_to_mount():
    """A user without the right gets the reason and what to do, and the folder stays empty."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))  # no tmpfs, and another user can get there
    folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from hoshikage.core.errors import StagingRefused\n"
        "from hoshikage.plugins.ramdisk.place import open_place\n"
        f"os.getuid() == 0 and (os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY}))\n"
        "try: open_place(Path(sys.argv[1]), mount_bytes=1 << 20)\n"
        "except StagingRefused as error: print(error.message)\n"
    )

    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)

    assert "is no tmpfs, and one cannot be mounted: Operation not permitted" in done.stdout
    assert "CAP_SYS_ADMIN" in done.stdout
    folder.rmdir()  # only an empty one goes


async def test_a_tmpfs_of_our_own(stager_on, tmp_path, record):
    """With the right, one is mounted in the size that is set, and unmounted at the stop; without, it says so."""
    point = tmp_path / "own"
    stager = await stager_on(point, size_mib=16)
    space = stager.space()
    if not is_mounted(point):
        assert "cannot be mounted" in space.reason
        return
    copy = await stager.stage(record)

    assert 16 * MIB == os.statvfs(point).f_blocks * os.statvfs(point).f_frsize
    assert 0o700 == point.stat().st_mode & 0o777
    assert copy.file.is_relative_to(point)
    await stager.stop()
    assert not is_mounted(point)
    assert [] == list(point.iterdir())


async def test_our_tmpfs_is_known_again(stager_on, tmp_path, record):
    """One that a killed server left mounted is used again, with its copies, and unmounted at the end."""
    point = tmp_path / "own"
    first = await stager_on(point, size_mib=16, keep_on_stop=True)
    if not first.space().available:
        assert "cannot be mounted" in first.space().reason
        return
    copy = await first.stage(record)
    await first.stop()
    kept = is_mounted(point)

    second = await stager_on(point, size_mib=16)

    assert kept
    assert copy == second.find(record)
    await second.stop()
    assert not is_mounted(point)


async def test_the_stop_waits_for_no_reader(stager_on, tmp_path, record):
    """Where somebody still reads from our tmpfs, it is detached; it goes when the reader is done."""
    point = tmp_path / "own"
    stager = await stager_on(point, size_mib=16)
    if not stager.space().available:
        assert "cannot be mounted" in stager.space().reason
        return
    copy = await stager.stage(record)
    with copy.file.open("rb") as reader:
        await stager.stop()

        assert not is_mounted(point)
        assert record.file.read_bytes() == reader.read()
