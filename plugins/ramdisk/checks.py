"""What `doctor` looks at: whether there is a RAM disk, and how much would fit."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING, Final

from hoshikage import Check, CheckResult
from hoshikage.core.errors import StagingRefused
from hoshikage.core.memory import MainMemory, measure_main_memory
from hoshikage.plugins.ramdisk.budget import GIB, limit_bytes
from hoshikage.plugins.ramdisk.mounts import may_mount
from hoshikage.plugins.ramdisk.place import HOW_TO_MOUNT, Place, find_site
from hoshikage.plugins.ramdisk.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

NAME: Final = "ram disk"
CONTAINER_DEFAULT_BYTES: Final = 64 * 1024**2


def ramdisk_checks(settings: RamDiskSettings, path: Path | None) -> list[Check]:
    """The check, bound to the settings."""
    return [Check(NAME, functools.partial(check_ramdisk, settings, path))]


def check_ramdisk(
    settings: RamDiskSettings, path: Path | None, *, memory: MainMemory | None = None, mountinfo: str | None = None
) -> list[CheckResult]:
    """Whether models can be copied to memory, and how many bytes of them.

    Args:
        settings: the section.
        path: the folder that is set; `None` is the usual one.
        memory: measured when not given.
        mountinfo: the text of `/proc/self/mountinfo`; read when not given.
    """
    if not settings.enabled:
        return [CheckResult(NAME, "ok", "switched off (ramdisk.enabled); models load from disk")]
    memory = memory or measure_main_memory()
    try:
        site = find_site(path, mountinfo=mountinfo)  # as the server does at its start
    except StagingRefused as error:
        return [_warning(error.message, "until then models load from disk")]
    return [_check_mounting(settings, site.path, memory) if site.mounts else _check_size(settings, site.path, memory)]


def _check_mounting(settings: RamDiskSettings, path: Path, memory: MainMemory) -> CheckResult:
    if not may_mount():
        advice = f"{HOW_TO_MOUNT}; until then models load from disk"
        return _warning(f"{path} is no tmpfs, and this process may not mount one", advice)
    return _bounded(settings, f"{path}: a tmpfs will be mounted", int(settings.size_gib * GIB), memory)


def _check_size(settings: RamDiskSettings, path: Path, memory: MainMemory) -> CheckResult:
    usage = shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists()))
    found = f"{path}: {usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free"
    if usage.total <= CONTAINER_DEFAULT_BYTES:
        return _warning(found, "a container's default: set shm_size or a tmpfs")
    without_copies = memory.available_bytes + Shelf(Place(path)).used_bytes()  # a server may be running
    limit = limit_bytes(settings, tmpfs_bytes=usage.total, memory_bytes=without_copies)
    return _bounded(settings, f"{found}, copies may take {limit / GIB:.1f} GiB", limit, memory)


def _bounded(settings: RamDiskSettings, found: str, limit: int, memory: MainMemory) -> CheckResult:
    """What lies on a tmpfs counts as memory: over a container's limit, the kernel kills."""
    above = memory.total_bytes - int(settings.floor_gib * GIB)
    if limit > above:
        advice = f"lower ramdisk.size_gib: with the floor there are {max(0, above) / GIB:.1f} GiB for copies and models"
        return _warning(f"{found}, of {memory.total_bytes / GIB:.1f} GiB of memory", advice)
    return CheckResult(NAME, "ok", found)


def _warning(found: str, advice: str) -> CheckResult:
    return CheckResult(NAME, "warning", found, advice)
