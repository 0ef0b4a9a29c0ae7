"""How much the copies may take: setting, tmpfs and main memory considered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hoshikage.core.memory import MainMemory, measure_main_memory
from hoshikage.plugins.ramdisk.eviction import Room

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

GIB: Final = 1024**3


def limit_bytes(settings: RamDiskSettings, *, tmpfs_bytes: int, memory_bytes: int) -> int:
    """What all copies may take.

    Args:
        settings: a size, or 0 for half of what there is.
        tmpfs_bytes: the size of the whole file system.
        memory_bytes: main memory that would be available without any copy.
    """
    if settings.size_gib:
        return min(int(settings.size_gib * GIB), tmpfs_bytes)
    return min(tmpfs_bytes, memory_bytes) // 2


def mount_bytes(settings: RamDiskSettings) -> int:
    """The size of a tmpfs that we mount ourselves: nothing is taken until files are in it."""
    if settings.size_gib:
        return int(settings.size_gib * GIB)
    return max(GIB, measure_main_memory().available_bytes // 2)


def room_of(
    settings: RamDiskSettings, *, used_bytes: int, tmpfs_bytes: int, tmpfs_free_bytes: int, memory: MainMemory
) -> Room:
    """The bounds, from what was measured."""
    unused = memory.available_bytes + used_bytes  # what lies on a tmpfs is not available
    return Room(
        limit_bytes=limit_bytes(settings, tmpfs_bytes=tmpfs_bytes, memory_bytes=unused),
        used_bytes=used_bytes,
        file_system_bytes=tmpfs_free_bytes,
        memory_bytes=memory.available_bytes - int(settings.floor_gib * GIB),
    )


def measure_room(settings: RamDiskSettings, folder: Path, *, used_bytes: int) -> Room:
    """The bounds as they are now.

    Raises:
        OSError: the folder is gone.
    """
    system = os.statvfs(folder)
    return room_of(
        settings,
        used_bytes=used_bytes,
        tmpfs_bytes=system.f_blocks * system.f_frsize,
        tmpfs_free_bytes=system.f_bavail * system.f_frsize,
        memory=measure_main_memory(),
    )
