"""Which file system a path is on, and mounting a tmpfs of our own."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTINFO = Path("/proc/self/mountinfo")
STATUS = Path("/proc/self/status")
# From linux/capability.h and sys/mount.h.
CAP_SYS_ADMIN: Final = 21
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    point: Path
    kind: str
    read_only: bool


def mount_of(path: Path, mountinfo: str | None = None) -> Mount:
    """The file system that a path, or its nearest existing ancestor, is on.

    Args:
        path: absolute, without links.
        mountinfo: the text of `/proc/self/mountinfo`; read when not given.
    """
    if mountinfo is None:
        mountinfo = MOUNTINFO.read_text("utf-8", "surrogateescape") if MOUNTINFO.is_file() else ""
    found = Mount(Path("/"), "", read_only=False)
    for mount in parse_mounts(mountinfo):
        # Of several on one point, the last hides the others.
        if path.is_relative_to(mount.point) and len(mount.point.parts) >= len(found.point.parts):
            found = mount
    return found


def parse_mounts(mountinfo: str) -> Iterator[Mount]:
    """Read the lines of `/proc/self/mountinfo`; proc(5) describes them."""
    for line in mountinfo.split("\n"):  # not `splitlines`: a mount point may have other line breaks in its name
        before, _, after = line.partition(" - ")
        fields, system = before.split(" "), after.split(" ")
        if len(fields) >= 6 and len(system) >= 3:
            read_only = "ro" in {*fields[5].split(","), *system[2].split(",")}
            yield Mount(Path(_unescaped(fields[4])), system[0], read_only)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN; a security module may still say no."""
    if not STATUS.is_file():
        return False
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", STATUS.read_text(), re.MULTILINE)
    return match is not None and bool(int(match[1], 16) >> CAP_SYS_ADMIN & 1)


def mount_tmpfs(point: Path, *, size_bytes: int) -> None:
    """Mount a tmpfs for this user alone.

    By the system call, not by mount(8): the command asks for the user id 0 even where the capability is there, and
    slim containers do not have it.

    Raises:
        OSError: it is not allowed here.
    """
    options = f"size={size_bytes},mode=0700,uid={os.getuid()},gid={os.getgid()}".encode()
    flags = ctypes.c_ulong(MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _call("mount", b"hoshikage", os.fsencode(point), b"tmpfs", flags, options)


def unmount(point: Path) -> None:
    """Unmount; where somebody still reads from it, it goes when the last one is done.

    Raises:
        OSError: it is not allowed, or nothing is mounted there.
    """
    try:
        _call("umount2", os.fsencode(point), UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _call("umount2", os.fsencode(point), UMOUNT_NOFOLLOW | MNT_DETACH)


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
