"""The RAM-disk stager on a real tmpfs: copies, uses, room and time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hoshikage import ModelRecord, Stager
from hoshikage.core.errors import StagingRefused
from hoshikage.core.storage import Storage
from hoshikage.plugins.ramdisk.stager import RamDisk
from tests.fakes import until
from tests.plugins.ramdisk.disks import MIB, model, names_below, replace_file

LARGE_BYTES = 96 * MIB


def files_of(stager: RamDisk) -> list[str]:
    """The sources of all copies, by name."""
    return sorted(view.file.name for view in stager.views())


def test_it_is_a_stager(tmp_path):
    """The class has all that the contract asks for."""
    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

    stager: Stager = RamDisk(RamDiskSettings(), path=None, pins_file=tmp_path / "pins.json")

    assert "ramdisk" == stager.name


# --- copying ---


async def test_a_copy_is_equal_and_found(stager, disk, record):
    """A staged model is a file on the RAM disk with the same content and name; the state folder lies beside it."""
    before = stager.find(record)
    copy = await stager.stage(record)

    assert before is None
    assert record.file.read_bytes() == copy.file.read_bytes()
    assert (record.file.name, MIB) == (copy.file.name, copy.size_bytes)
    assert copy.file.is_relative_to(disk / "models")
    assert disk / "state" == copy.state_folder
    assert 0o700 == copy.state_folder.stat().st_mode & 0o777
    assert copy == stager.find(record)
    assert copy == await stager.stage(record)


async def test_an_empty_file_and_a_strange_name(stager, models):
    """Neither an empty file nor a name in Japanese with a space, a quote and a byte that is no UTF-8 is a problem."""
    file = models / os.fsdecode("星影 'x'\n".encode() + b"\xff.gguf")
    file.write_bytes(b"")
    record = ModelRecord("strange", file)

    copy = await stager.stage(record)

    assert (0, file.name) == (copy.size_bytes, copy.file.name)
    assert (file,) == tuple(view.file for view in stager.views())


async def test_a_model_without_a_file_is_refused(stager):
    """There is nothing to copy of the echo model."""
    with pytest.raises(StagingRefused, match="'echo' has no file"):
        await stager.stage(ModelRecord("echo"))

    assert stager.find(ModelRecord("echo")) is None
    assert not await stager.unstage(ModelRecord("echo"))


async def test_a_source_that_is_gone_is_refused(stager, disk, record):
    """The reason names the file; nothing is left behind."""
    record.file.unlink()

    with pytest.raises(StagingRefused, match=r"a\.gguf cannot be read"):
        await stager.stage(record)

    assert [] == names_below(disk / "models")


async def test_a_pipe_is_refused(stager, models):
    """What is no file is not opened: a pipe would be waited for until somebody writes."""
    record = model(models / "a.gguf")
    record.file.unlink()
    os.mkfifo(record.file)

    with pytest.raises(StagingRefused, match=r"a\.gguf is no file"):
        await stager.stage(record)


async def test_the_longest_name(stager, models):
    """A name of as many bytes as a file system allows is no problem, nor is one that begins with a dot."""
    for name in ("星" * 83 + ".gguf!", "." + "a" * 249 + ".gguf"):
        copy = await stager.stage(model(models / name))

        assert (255, name) == (len(os.fsencode(name)), copy.file.name)


async def test_split_files_are_one_copy(stager, models):
    """All parts of a split model are copied beside each other, count together and go together."""
    parts = [model(models / f"big-0000{i}-of-00003.gguf", size_bytes=i * 1000) for i in (1, 2, 3)]

    copy = await stager.stage(parts[0])

    assert [p.file.name for p in parts] == sorted(p.name for p in copy.file.parent.glob("*.gguf"))
    assert all((copy.file.parent / p.file.name).read_bytes() == p.file.read_bytes() for p in parts)
    assert (6000, [6000]) == (copy.size_bytes, [v.size_bytes for v in stager.views()])
    assert await stager.unstage(parts[0])
    assert not copy.file.parent.exists()


async def test_a_split_model_with_a_missing_part_is_refused(stager, models, disk):
    """The reason names the part that is missing."""
    first = model(models / "big-00001-of-00002.gguf")

    with pytest.raises(StagingRefused, match="big-00002-of-00002"):
        await stager.stage(first)

    assert [] == names_below(disk / "models")


async def test_a_link_is_followed_at_the_source(stager, models, record):
    """A model may be a link, as in the caches of hubs; the copy is a file with the link's name."""
    link = models / "link.gguf"
    link.symlink_to(record.file)

    copy = await stager.stage(replace(record, file=link))

    assert ("link.gguf", False) == (copy.file.name, copy.file.is_symlink())
    assert record.file.read_bytes() == copy.file.read_bytes()


# --- room ---


async def test_the_least_recently_used_makes_room(stager_on, disk, models):
    """Where the budget is used up, the copy goes that was used longest ago; a touch counts as use."""
    a, b, c = (model(models / f"{name}.gguf", size_bytes=4 * MIB) for name in "abc")
    stager = await stager_on(disk, size_mib=9)
    await stager.stage(a)
    await stager.stage(b)
    stager._leases.clear()
    stager.touch(a)

    await stager.stage(c)

    assert ["a.gguf", "c.gguf"] == files_of(stager)
    assert ["c.gguf", "a.gguf"] == [view.file.name for view in stager.views()]


async def test_pinned_held_and_just_handed_over_stay(stager_on, disk, models):
    """Without anybody who may go, it is refused with the bytes, and all stay."""
    a, b, c, d = (model(models / f"{name}.gguf", size_bytes=4 * MIB) for name in "abcd")
    stager = await stager_on(disk, size_mib=13)
    for record in (a, b, c):
        await stager.stage(record)
    stager.pin(a, pinned=True)
    stager.hold(b)  # and c was handed over this moment

    with pytest.raises(StagingRefused, match=f"{12 * MIB} are pinned or in use"):
        await stager.stage(d)

    assert ["a.gguf", "b.gguf", "c.gguf"] == files_of(stager)


async def test_a_full_ram_disk_is_told_to_receipts(stager_on, disk, record):
    """What a load from disk is told of its copy ends when the file is another one, or another server made the copy."""
    stager = await stager_on(disk, size_mib=0.5)
    storage = Storage([stager])
    placement = await storage.place(record)
    storage.copy_later(record)
    await until(lambda: storage.refusal(record))
    full = storage.refusal(record)
    replaced = storage.refusal(replace(record, modified_at=record.modified_at + 1))
    await (await stager_on(disk)).stage(record)

    assert placement.copy_later
    assert f"no room on the RAM disk {disk}: " in full
    assert ("", "") == (replaced, storage.refusal(record))


async def test_the_floor_of_free_memory_is_kept(stager_on, disk, record):
    """Where main memory would fall below the floor, it is refused and says so."""
    stager = await stager_on(disk, floor_gib=1_000_000.0)

    with pytest.raises(StagingRefused, match=r"ramdisk\.floor_gib"):
        await stager.stage(record)

    assert 0 == stager.space().free_bytes


async def test_space_counts_copies_and_state(stager, disk, record):
    """What copies take and what engines have saved is used."""
    copy = await stager.stage(record)
    (copy.state_folder / "x").mkdir()
    (copy.state_folder / "x" / "kv").write_bytes(bytes(5000))

    space = stager.space()

    assert (disk, True, "", 64 * MIB, MIB + 5000) == (
        space.path,
        space.available,
        space.reason,
        space.limit_bytes,
        space.used_bytes,
    )
    assert 0 < space.free_bytes <= space.limit_bytes - space.used_bytes


async def test_automatic_size(stager_on, disk):
    """Without a size, copies may take half of the tmpfs, or of the memory that there is."""
    stager = await stager_on(disk, size_mib=0)

    system = os.statvfs(disk)
    assert 0 < stager.space().limit_bytes <= system.f_blocks * system.f_frsize // 2


# --- start and stop ---


async def test_a_clean_stop_leaves_nothing(stager, disk, record):
    """Copies, state and lock files go; a stranger's file stays. A second stop does nothing."""
    copy = await stager.stage(record)
    (copy.state_folder / "kv").write_bytes(b"x")
    (copy.state_folder / "deep").mkdir()
    (copy.state_folder / "deep" / "kv").write_bytes(b"x")
    (disk / "foreign").write_bytes(b"mine")

    await stager.stop()
    await stager.stop()

    assert ["foreign"] == sorted(entry.name for entry in disk.iterdir())
    assert not stager.space().available
    with pytest.raises(StagingRefused, match="stops"):
        await stager.stage(record)


async def test_kept_copies_are_taken_over(stager_on, disk, record):
    """With `keep_on_stop`, the next start finds copies and state, and copies nothing again."""
    first = await stager_on(disk, keep_on_stop=True)
    copy = await first.stage(record)
    (copy.state_folder / "kv").write_bytes(b"x")
    inode = copy.file.stat().st_ino
    await first.stop()

    second = await stager_on(disk)

    assert copy == second.find(record)
    assert inode == (await second.stage(record)).file.stat().st_ino
    assert b"x" == (copy.state_folder / "kv").read_bytes()


@pytest.mark.parametrize("change", ["replaced", "deleted", "damaged"])
async def test_useless_copies_go_at_the_start(stager_on, disk, record, change):
    """A kept copy whose source was replaced or deleted, or that was cut meanwhile, is cleared away."""
    first = await stager_on(disk, keep_on_stop=True)
    copy = await first.stage(record)
    await first.stop()
    match change:
        case "replaced":
            replace_file(record.file, b"new")
        case "deleted":
            record.file.unlink()
        case "damaged":
            copy.file.chmod(0o600)
            os.truncate(copy.file, 5)

    second = await stager_on(disk)

    assert () == second.views()
    assert not copy.file.parent.exists()


async def test_switched_off(stager_on, disk, record):
    """Off by setting: not available, with the name of the setting, and the RAM disk stays untouched."""
    stager = await stager_on(disk, enabled=False)

    assert (False, True) == (stager.space().available, "ramdisk.enabled" in stager.space().reason)
    assert [] == list(disk.iterdir())
    with pytest.raises(StagingRefused, match=r"ramdisk\.enabled"):
        await stager.stage(record)
    assert (None, (), False) == (stager.find(record), stager.views(), await stager.unstage(record))


async def test_before_the_start_nothing_is_available(tmp_path):
    """A stager that was not started says so."""
    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

    stager = RamDisk(RamDiskSettings(), path=None, pins_file=tmp_path / "pins.json")

    assert "not started" in stager.space().reason


async def test_the_usual_place(stager_on, record):
    """Without a path, copies go to a folder of this user in `/dev/shm`."""
    stager = await stager_on(None)

    copy = await stager.stage(record)

    assert copy.file.is_relative_to(Path(f"/dev/shm/hoshikage-{os.getuid()}/models"))
    assert await stager.unstage(record)
