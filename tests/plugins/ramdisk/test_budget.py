"""How much the copies may take."""

from __future__ import annotations

import os

import pytest

from hoshikage.core.memory import MainMemory
from hoshikage.plugins.ramdisk.budget import GIB, limit_bytes, measure_room, mount_bytes, room_of
from hoshikage.plugins.ramdisk.settings import RamDiskSettings


@pytest.mark.parametrize(
    ("size_gib", "tmpfs_gib", "memory_gib", "expected_gib"),
    [
        (4.0, 8, 16, 4.0),
        (0.5, 8, 16, 0.5),
        (12.0, 8, 16, 8.0),
        (12.0, 24, 4, 12.0),
        (0.0, 8, 16, 4.0),
        (0.0, 16, 6, 3.0),
    ],
)
def test_the_limit(size_gib, tmpfs_gib, memory_gib, expected_gib):
    """A size that is set holds, up to the tmpfs'; 0 is half of what tmpfs and memory have."""
    settings = RamDiskSettings(size_gib=size_gib)

    assert expected_gib * GIB == limit_bytes(settings, tmpfs_bytes=tmpfs_gib * GIB, memory_bytes=memory_gib * GIB)


def test_copies_do_not_shrink_the_automatic_limit():
    """Memory that the copies have taken counts as theirs: the limit stays as it is while they come."""
    rooms = [
        room_of(
            RamDiskSettings(),
            used_bytes=used * GIB,
            tmpfs_bytes=32 * GIB,
            tmpfs_free_bytes=(32 - used) * GIB,
            memory=MainMemory(16 * GIB, (12 - used) * GIB),
        )
        for used in (0, 3)
    ]

    assert [6 * GIB, 6 * GIB] == [room.limit_bytes for room in rooms]
    assert [6 * GIB, 3 * GIB] == [room.free_bytes for room in rooms]


def test_the_floor_is_not_for_copies():
    """Memory under the floor is not free; below it, the room is negative."""
    settings = RamDiskSettings(size_gib=8.0, floor_gib=2.0)
    more = {"used_bytes": 0, "tmpfs_bytes": 8 * GIB, "tmpfs_free_bytes": 8 * GIB}

    assert [GIB, -GIB] == [
        room_of(settings, memory=MainMemory(4 * GIB, available * GIB), **more).free_bytes for available in (3, 1)
    ]


def test_measured(disk):
    """On this machine, the file system's numbers are those of the RAM disk."""
    room = measure_room(RamDiskSettings(size_gib=1e6), disk, used_bytes=5)

    system = os.statvfs(disk)
    assert (system.f_blocks * system.f_frsize, 5) == (room.limit_bytes, room.used_bytes)
    assert 0 < room.file_system_bytes <= room.limit_bytes


def test_the_size_of_a_tmpfs_of_our_own():
    """It is what is set, or half of the memory, and never nothing."""
    assert 3 * GIB == mount_bytes(RamDiskSettings(size_gib=3.0))
    assert mount_bytes(RamDiskSettings()) >= GIB
