"""File systems: which one a path is on, read from the kernel's own list."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hoshikage.plugins.ramdisk.mounts import Mount, may_mount, mount_of, mount_tmpfs, unmount

INFO = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
25 22 0:23 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=65536k
26 22 0:24 / /mnt/with\040space rw - tmpfs tmpfs rw
27 22 0:25 / /mnt/ro ro,relatime - tmpfs tmpfs rw
28 22 0:26 / /mnt/all-ro rw,relatime master:1 shared:2 - tmpfs tmpfs ro
29 22 0:27 / /mnt/hidden rw - tmpfs tmpfs rw
30 22 0:28 / /mnt/hidden rw - xfs /dev/vdb rw
31 25 0:29 / /dev/shm/deep rw - ext4 /dev/vdc rw
a line of the future
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/x", ("/", "ext4", False)),
        ("/dev/shm", ("/dev/shm", "tmpfs", False)),
        ("/dev/shm/hoshikage-1/models", ("/dev/shm", "tmpfs", False)),
        ("/dev/shmother", ("/", "ext4", False)),
        ("/dev/shm/deep/x", ("/dev/shm/deep", "ext4", False)),
        ("/mnt/with space/x", ("/mnt/with space", "tmpfs", False)),
        ("/mnt/ro", ("/mnt/ro", "tmpfs", True)),
        ("/mnt/all-ro", ("/mnt/all-ro", "tmpfs", True)),
        ("/mnt/hidden", ("/mnt/hidden", "xfs", False)),
    ],
)
def test_the_mount_of_a_path(path, expected):
    """The nearest mount point above a path counts, and of several on one point the last."""
    point, kind, read_only = expected

    assert Mount(Path(point), kind, read_only=read_only) == mount_of(Path(path), INFO)


@pytest.mark.parametrize("character", ["\u2028", "\x85", "\x0c"])
def test_names_with_line_breaks_of_other_scripts(character):
    """Who may mount something of his own cannot put a line into the list by a clever name."""
    name = f"/home/x/{character}1 1 0:1 / /dev/shm rw - ext4 x rw"

    assert "tmpfs" == mount_of(Path("/dev/shm"), f"{INFO}40 22 0:30 / {name} rw - fuse x rw\n").kind


def test_without_a_list_nothing_is_known():
    """Where the kernel has no such list, no path is on a tmpfs."""
    assert "" == mount_of(Path("/dev/shm"), "").kind


def test_this_machine():
    """Linux has a tmpfs at `/dev/shm`, and the test's folder of processes is none."""
    assert "tmpfs" == mount_of(Path("/dev/shm")).kind
    assert "proc" == mount_of(Path("/proc/self")).kind


def test_mounting(tmp_path):
    """A tmpfs is mounted in its size and goes again; without the right, it is an error that says so."""
    if not may_mount():
        with pytest.raises(PermissionError):
            mount_tmpfs(tmp_path, size_bytes=1 << 20)
        return
    mount_tmpfs(tmp_path, size_bytes=1 << 20)
    mounted = (mount_of(tmp_path).kind, os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize)
    unmount(tmp_path)

    assert ("tmpfs", 1 << 20) == mounted
    assert not os.path.ismount(tmp_path)


def test_unmounting_nothing(tmp_path):
    """A folder that is no mount point cannot be unmounted."""
    with pytest.raises(OSError) as caught:
        unmount(tmp_path)

    assert caught.value.errno in {errno.EINVAL, errno.EPERM}
