"""The check of `doctor`, on imagined machines and on this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hoshikage.core.errors import StagingRefused
from hoshikage.core.memory import MainMemory
from hoshikage.plugins.ramdisk.checks import check_ramdisk, ramdisk_checks
from hoshikage.plugins.ramdisk.place import open_place, own_name
from hoshikage.plugins.ramdisk.settings import RamDiskSettings
from tests.plugins.ramdisk.disks import MIB, ram_disk

GIB = 1 << 30
MEMORY = MainMemory(16 * GIB, 8 * GIB)
SETTINGS = RamDiskSettings()


def on_disk(path: Path) -> str:
    return f"1 1 1:1 / / rw - ext4 x rw\n2 1 1:2 / {path} rw - ext4 x rw\n"


def on_tmpfs(path: Path, options: str = "rw") -> str:
    return f"2 1 1:2 / {path} {options} - tmpfs x rw\n"


def check(path: Path | None, settings: RamDiskSettings = SETTINGS, **more):
    (result,) = check_ramdisk(settings, path, **{"memory": MEMORY, **more})
    return result


def test_a_good_tmpfs(tmp_path):
    """A large tmpfs is ok, with what is free and what copies may take."""
    result = check(tmp_path / "new", mountinfo=on_tmpfs(tmp_path))

    assert ("ram disk", "ok", "") == (result.name, result.level, result.advice)
    assert "GiB free, copies may take 4.0 GiB" in result.found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RamDiskSettings(enabled=False), "switched off"),
        (RamDiskSettings(size_gib=2.0), "copies may take 2.0 GiB"),
    ],
)
def test_settings_are_followed(tmp_path, settings, words):
    """The size is that of the settings; one that is switched off is ok too."""
    result = check(tmp_path, settings, mountinfo=on_tmpfs(tmp_path))

    assert ("ok", True) == (result.level, words in result.found)


def test_more_than_the_memory(tmp_path):
    """A budget over what memory and floor allow is a warning: the kernel would kill."""
    result = check(tmp_path, RamDiskSettings(size_gib=15.5), mountinfo=on_tmpfs(tmp_path))

    assert "warning" == result.level
    assert "lower ramdisk.size_gib" in result.advice
    assert "15.0 GiB" in result.advice


def test_a_containers_default(tmp_path):
    """64 MiB is what a container has when nobody thought of it."""
    with ram_disk(tmp_path / "ram", size_bytes=64 * MIB) as path:
        result = check(path)

        mounted = os.path.ismount(path)
    assert ("warning" if mounted else "ok") == result.level
    assert not mounted or "shm_size" in result.advice


def test_a_read_only_tmpfs(tmp_path):
    """A tmpfs that cannot be written is a warning with the mount point."""
    result = check(tmp_path, mountinfo=on_tmpfs(tmp_path, "ro"))

    assert ("warning", True) == (result.level, f"mount {tmp_path} again with rw" in result.found)


def test_a_link(tmp_path):
    """A link is refused by the server, so the check says so."""
    (tmp_path / "link").symlink_to(tmp_path)

    assert "symbolic link" in check(tmp_path / "link").found


def test_no_tmpfs_at_the_usual_place():
    """A machine without `/dev/shm` loads from disk."""
    result = check(None, mountinfo=on_disk(Path("/dev/shm")))

    assert ("warning", "until then models load from disk") == (result.level, result.advice)
    assert "no tmpfs here; set ramdisk.path" in result.found


def test_no_tmpfs_but_files(tmp_path):
    """Nothing will be mounted over files."""
    (tmp_path / "precious").write_bytes(b"x")

    assert "no empty folder" in check(tmp_path, mountinfo=on_disk(tmp_path)).found


def test_a_tmpfs_of_our_own(tmp_path):
    """An empty folder will be mounted where this process may; otherwise the advice names the right."""
    from hoshikage.plugins.ramdisk.mounts import may_mount

    result = check(tmp_path, mountinfo=on_disk(tmp_path))

    assert ("will be mounted" in result.found) == may_mount()
    assert ("CAP_SYS_ADMIN" in result.advice) == (not may_mount())


def in_the_way(shm: Path, what: str) -> Path:
    """A place that cannot be one, on a real tmpfs or not."""
    place = shm / "place"
    match what:
        case "no tmpfs":
            return Path("/proc/self")
        case "link":
            place.symlink_to(shm)
        case "file":
            place.write_bytes(b"")
        case "everybody's":
            place.mkdir()
            place.chmod(0o777)
        case "models is a link":
            place.mkdir(mode=0o700)
            (place / "models").symlink_to(shm)
        case "a stranger's state":
            (place / "state").mkdir(parents=True, mode=0o700)
            (place / "state" / "precious").write_bytes(b"x")
        case "another user's":
            place.mkdir(mode=0o755)
            os.chown(place, 12345, -1)
        case "another user's within a shared one":
            place.mkdir()
            place.chmod(0o1777)
            (place / own_name()).mkdir()
            os.chown(place / own_name(), 12345, -1)
    return place


@pytest.mark.parametrize(
    "what",
    [
        "no tmpfs",
        "link",
        "file",
        "everybody's",
        "models is a link",
        "a stranger's state",
        "another user's",
        "another user's within a shared one",
    ],
)
def test_what_the_server_refuses_is_a_warning(shm, what):
    """A place that the server would refuse at its start is found out before, in the same words."""
    if "user" in what and os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    path = in_the_way(shm, what)
    result = check(path)

    with pytest.raises(StagingRefused) as refused:
        open_place(path, mount_bytes=MIB)
    assert ("warning", refused.value.message) == (result.level, result.found)


def test_copies_that_are_there_are_room_for_copies(tmp_path):
    """Beside a running server, what its copies take counts as to be had, as it does for the server."""
    empty = check(tmp_path, mountinfo=on_tmpfs(tmp_path))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / ".made-by-hoshikage").touch()
    with (tmp_path / "state" / "kv").open("wb") as stream:
        stream.truncate(2 * GIB)  # a hole
    beside = check(tmp_path, mountinfo=on_tmpfs(tmp_path))

    assert ("take 4.0 GiB", "take 5.0 GiB") == (empty.found[-12:], beside.found[-12:])


def test_it_changes_nothing(tmp_path):
    """The check makes no folder, on this machine's own file systems."""
    (one,) = ramdisk_checks(SETTINGS, tmp_path / "new")
    (usual,) = ramdisk_checks(SETTINGS, None)

    assert [1, 1] == [len(one.run()), len(usual.run())]
    assert not (tmp_path / "new").exists()
