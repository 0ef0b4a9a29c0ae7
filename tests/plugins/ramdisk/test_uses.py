"""Why copies stay and when they go: holds, pins and idle time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hoshikage.plugins.ramdisk.guards import is_kept
from hoshikage.plugins.ramdisk.marker import Marker, SourcePart, write_marker
from hoshikage.plugins.ramdisk.stager import RamDisk
from tests.fakes import until
from tests.plugins.ramdisk.disks import MIB, again, damage, model, names_below, replace_file

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def files_of(stager: RamDisk) -> list[str]:
    """The sources of all copies, by name."""
    return sorted(view.file.name for view in stager.views())


# --- holds and pins ---


async def test_a_held_copy_cannot_go(stager, record):
    """It goes after as many releases as there were holds."""
    await stager.stage(record)
    stager.hold(record)
    stager.hold(record)
    held = [(await stager.unstage(record), stager.views()[0].held)]
    stager.release(record)
    held.append((await stager.unstage(record), stager.views()[0].held))
    stager.release(record)

    assert [(False, True)] * 2 == held
    assert not stager.views()[0].held
    assert await stager.unstage(record)
    assert not await stager.unstage(record)
    assert () == stager.views()


async def test_holds_without_a_copy(stager, record):
    """A model that was loaded from disk holds nothing; its releases, and one too many, do no harm."""
    stager.hold(record)
    await stager.stage(record)
    stager.release(record)
    stager.release(record)

    assert not stager.views()[0].held


async def test_a_new_version_beside_a_held_old_one(stager, record):
    """A loaded model goes on reading the old copy while the new version is staged; released, the old one goes."""
    old = await stager.stage(record)
    stager.hold(record)
    replace_file(record.file, b"new")
    new_record = again(record)

    new = await stager.stage(new_record)
    stager.hold(new_record)
    stager.release(record)
    await stager.free_idle()

    assert b"new" == new.file.read_bytes()
    assert not old.file.exists()
    assert [True] == [view.held for view in stager.views()]


async def test_pins_are_remembered(stager_on, disk, record, models):
    """A pin may come before the copy, shows in the view, and survives a restart, as does its copy if it is kept."""
    first = await stager_on(disk, keep_on_stop=True)
    first.pin(record, pinned=True)
    await first.stage(record)
    shown = [view.pinned for view in first.views()]
    await first.stop()

    second = await stager_on(disk, keep_on_stop=True)
    again_shown = [view.pinned for view in second.views()]
    second.pin(record, pinned=False)

    assert [True] == shown == again_shown
    assert [False] == [view.pinned for view in second.views()]


async def test_a_pinned_copy_goes_when_it_is_told_to(stager, record):
    """Unstaging lets a pinned copy go; the pin holds for the next one."""
    stager.pin(record, pinned=True)
    await stager.stage(record)

    assert await stager.unstage(record)
    await stager.stage(record)
    assert [True] == [view.pinned for view in stager.views()]


async def test_damaged_pins_are_none(stager_on, disk, tmp_path, record):
    """A damaged file of pins is passed over; the next pin writes it anew."""
    (tmp_path / "pins.json").write_text("{oops")
    stager = await stager_on(disk)

    stager.pin(record, pinned=True)

    await until(lambda: str(record.file) in (tmp_path / "pins.json").read_text())


# --- time ---


async def test_unused_copies_are_freed(stager_on, disk, models):
    """A copy goes when it was not used for the time that is set; a touch starts anew, pins and holds keep it."""
    clock = Clock()
    stager = await stager_on(disk, clock=clock, great_timeout_min=60)
    records = {name: model(models / f"{name}.gguf") for name in ("idle", "touched", "held", "pinned")}
    for record in records.values():
        await stager.stage(record)
    stager._leases.clear()
    stager.hold(records["held"])
    stager.pin(records["pinned"], pinned=True)
    clock.now += 1800
    stager.touch(records["touched"])

    clock.now += 1799
    await stager.free_idle()
    before = files_of(stager)
    clock.now += 1
    await stager.free_idle()
    after = files_of(stager)
    clock.now += 1800
    await stager.free_idle()

    assert 4 == len(before)
    assert ["held.gguf", "pinned.gguf", "touched.gguf"] == after
    assert ["held.gguf", "pinned.gguf"] == files_of(stager)


async def test_zero_is_never(stager_on, disk, record):
    """With 0, copies are not freed, however long they are idle."""
    clock = Clock()
    stager = await stager_on(disk, clock=clock, great_timeout_min=0)
    await stager.stage(record)
    stager._leases.clear()
    clock.now += 10**9

    await stager.free_idle()

    assert 1 == len(stager.views())


async def test_copies_are_freed_by_themselves(stager_on, disk, record):
    """The stager looks by itself, often enough for a short time."""
    stager = await stager_on(disk, great_timeout_min=0.002)
    await stager.stage(record)
    stager._leases.clear()

    await until(lambda: not stager.views())

    assert [] == names_below(disk / "models")


@pytest.mark.parametrize("wall_clock_s", [0.0, 4e9])
async def test_the_wall_clock_does_not_matter(stager_on, disk, record, wall_clock_s):
    """A clock that was set back or forward frees nothing too early, and nothing too late."""
    clock = Clock()
    stager = await stager_on(disk, clock=clock, great_timeout_min=1)
    copy = await stager.stage(record)
    stager._leases.clear()
    os.utime(copy.file.parent / "hoshikage.json", (wall_clock_s, wall_clock_s))
    await stager.free_idle()
    clock.now += 59
    await stager.free_idle()
    before = files_of(stager)
    clock.now += 1
    await stager.free_idle()

    assert (["a.gguf"], []) == (before, files_of(stager))


async def test_a_copy_without_its_source_goes(stager, record):
    """When the source is deleted, its copy is freed, even a pinned one."""
    await stager.stage(record)
    stager.pin(record, pinned=True)
    stager._leases.clear()
    record.file.unlink()

    await stager.free_idle()

    assert () == stager.views()


@pytest.mark.parametrize("harm", ["changed", "cut"])
async def test_a_pinned_copy_that_is_damaged_is_made_anew(stager, record, harm):
    """A pin keeps a good copy, and one that was handed over this moment stays too; a damaged one gives way."""
    stager.pin(record, pinned=True)
    copy = await stager.stage(record)
    spoil(copy.file, harm)

    new = await stager.stage(record)

    assert record.file.read_bytes() == new.file.read_bytes()
    assert [True] == [view.pinned for view in stager.views()]
    assert is_kept(new.file.parent)


async def test_a_pinned_model_that_is_replaced(stager_on, disk, record):
    """The pin keeps the model, not an old version of it: where there is room for one, the new one gets it at once."""
    stager = await stager_on(disk, size_mib=1.5)
    stager.pin(record, pinned=True)
    await stager.stage(record)
    replace_file(record.file, bytes(MIB))

    copy = await stager.stage(again(record))

    assert bytes(MIB) == copy.file.read_bytes()
    assert [(MIB, True)] == [(view.size_bytes, view.pinned) for view in stager.views()]


async def test_damaged_copies_go(stager, record):
    """A damaged copy is of no use to anybody: its memory is given back, pinned or not."""
    stager.pin(record, pinned=True)
    copy = await stager.stage(record)
    stager._leases.clear()
    spoil(copy.file, "cut")

    await stager.free_idle()

    assert (0, False) == (stager.space().used_bytes, copy.file.parent.exists())


async def test_what_a_killed_server_left_goes(stager, disk, record):
    """Beside a running server another may be killed in the middle of copying: its half copy goes without a restart."""
    half = disk / "models" / ".x-1.part"
    half.mkdir()
    write_marker(half, Marker(source=str(record.file), parts=(SourcePart.of(record.file).mark(),)))
    (half / record.file.name).write_bytes(bytes(MIB))
    before = stager.space().used_bytes

    await stager.free_idle()

    assert (True, 0, False) == (before > MIB, stager.space().used_bytes, half.exists())


async def test_a_source_that_is_out_of_reach(stager, record):
    """A source that cannot be looked at just now costs no copy: that its disk does not answer may pass."""
    copy = await stager.stage(record)
    stager._leases.clear()
    kept = record.file.rename(record.file.with_name("kept"))
    record.file.symlink_to(record.file)  # a loop is an error, but not that nothing is there

    await stager.free_idle()
    kept.replace(record.file)

    assert copy == stager.find(record)


async def test_pinning_again_writes_nothing(stager, record, tmp_path):
    """At every start and pin each model is told again whether it is pinned: without news nothing is written."""
    stager.pin(record, pinned=True)
    await until((tmp_path / "pins.json").exists)
    before = stager._pins_written
    stager.pin(record, pinned=True)

    assert before is stager._pins_written


def spoil(file: Path, harm: str) -> None:
    """Damage a copy."""
    if harm == "changed":
        damage(file, at=5)
    else:
        file.chmod(0o600)
        os.truncate(file, 5)
