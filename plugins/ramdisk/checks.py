"""What `doctor` looks at: whether there is a RAM disk, and how much would fit."""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING, Final

from hoshikage import Check, CheckResult
from hoshikage.core.memory import MainMemory, measure_main_memory
from hoshikage.plugins.ramdisk.budget import GIB, limit_bytes
from hoshikage.plugins.ramdisk.mounts import may_mount, mount_of
from hoshikage.plugins.ramdisk.place import SHARED_TMPFS

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

NAME: Final = "ram disk"
CONTAINER_DEFAULT_BYTES: Final = 64 * 1024**2


def ramdisk_checks(settings: RamDiskSettings, path: Path | None) -> list[Check]:
    """The check, bound to the settings."""
    return [Check(NAME, functools.partial(check_ramdisk, settings, path or SHARED_TMPFS))]


def check_ramdisk(
    settings: RamDiskSettings, path: Path, *, memory: MainMemory | None = None, mountinfo: str | None = None
) -> list[CheckResult]:
    """Whether models can be copied to memory, and how many bytes of them.

    Args:
        settings: the section.
        path: the folder that is set, or the usual tmpfs.
        memory: measured when not given.
        mountinfo: the text of `/proc/self/mountinfo`; read when not given.
    """
    if not settings.enabled:
        return [CheckResult(NAME, "ok", "switched off (ramdisk.enabled); models load from disk")]
    memory = memory or measure_main_memory()
    mount = mount_of(path.resolve(), mountinfo)
    if path.is_symlink():
        return [_warning(f"{path} is a symbolic link", "set ramdisk.path to the folder itself")]
    if mount.kind != "tmpfs":
        return [_check_mounting(settings, path, memory)]
    if mount.read_only:
        return [_warning(f"{path} is mounted read-only", f"mount {mount.point} again with rw")]
    existing = next(p for p in (path, *path.parents) if p.exists())
    if not os.access(existing, os.W_OK):
        return [_warning(f"{existing} is not writable", "set ramdisk.path to a folder of your own on a tmpfs")]
    return [_check_size(settings, path, existing, memory)]


def _check_mounting(settings: RamDiskSettings, path: Path, memory: MainMemory) -> CheckResult:
    if path == SHARED_TMPFS:
        return _warning(f"{path} is no tmpfs", "models load from disk; set ramdisk.path to a tmpfs to stage them")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        return _warning(f"{path} is no tmpfs, and no empty folder to mount one on", "set ramdisk.path to either")
    if not may_mount():
        advice = "run as root or with CAP_SYS_ADMIN, or set ramdisk.path to a tmpfs; until then models load from disk"
        return _warning(f"{path} is no tmpfs, and this process may not mount one", advice)
    return _bounded(settings, f"{path}: a tmpfs will be mounted", int(settings.size_gib * GIB), memory)


def _check_size(settings: RamDiskSettings, path: Path, existing: Path, memory: MainMemory) -> CheckResult:
    usage = shutil.disk_usage(existing)
    found = f"{path}: {usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free"
    if usage.total <= CONTAINER_DEFAULT_BYTES:
        return _warning(found, "a container's default: set shm_size or a tmpfs")
    limit = limit_bytes(settings, tmpfs_bytes=usage.total, memory_bytes=memory.available_bytes)
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
