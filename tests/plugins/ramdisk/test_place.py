"""The place: which folders are taken, and which are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.place import (
    Site,
    bytes_below,
    clear_state,
    close_place,
    find_site,
    open_place,
    own_name,
)

MIB = 1 << 20


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_folder_on_a_tmpfs_is_used_as_it_is(shm):
    """Our own folder is the place; what is in it is for this user alone."""
    place = open_place(shm, mount_bytes=MIB)

    assert shm == place.path
    assert {0o700} == {mode(folder) for folder in (shm, place.models, place.locks, place.state)}


def test_a_folder_that_does_not_exist_is_made(shm):
    """A path on a tmpfs is made, for this user alone."""
    place = open_place(shm / "deep" / "er", mount_bytes=MIB)

    assert 0o700 == mode(place.path)


def test_a_shared_folder_gets_one_of_ours(shm):
    """Where everybody may write, as in `/dev/shm` and in a container's tmpfs, a folder of ours is the place."""
    shm.chmod(0o1777)

    place = open_place(shm, mount_bytes=MIB)

    assert (shm / own_name(), 0o700) == (place.path, mode(place.path))
    assert 0o1777 == mode(shm)


def test_a_folder_where_others_could_replace_files_is_refused(shm):
    """Everybody's folder without the sticky bit is not safe: others could put their folder in place of ours."""
    shm.chmod(0o777)

    with pytest.raises(StagingRefused, match="can be written by others"):
        open_place(shm, mount_bytes=MIB)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_within_one_where_others_could_replace_it_is_refused(shm, exists):
    """A folder of our own is not safe either where others may put theirs in its place."""
    place = shm / "deep" / "er"
    if exists:
        place.mkdir(parents=True, mode=0o700)
    shm.chmod(0o777)

    with pytest.raises(StagingRefused, match=rf"{shm} can be written by everybody.*chmod \+t"):
        open_place(place, mount_bytes=MIB)
    shm.chmod(0o1777)
    assert place == open_place(place, mount_bytes=MIB).path


def test_a_link_is_refused(shm, tmp_path):
    """A link as the last component is refused, wherever it leads."""
    (tmp_path / "link").symlink_to(shm)

    with pytest.raises(StagingRefused, match="symbolic link"):
        open_place(tmp_path / "link", mount_bytes=MIB)

    assert [] == list(shm.iterdir())


@pytest.mark.parametrize("name", ["models", "locks", "state", own_name()])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_file_in_the_way_is_refused(shm, tmp_path, name, kind):
    """What stands where a folder of ours should be is refused, and what a link leads to stays untouched."""
    (tmp_path / "target").mkdir()
    if name == own_name():
        shm.chmod(0o1777)
    if kind == "link":
        (shm / name).symlink_to(tmp_path / "target")
    else:
        (shm / name).write_bytes(b"")

    with pytest.raises(StagingRefused, match="is no folder"):
        open_place(shm, mount_bytes=MIB)

    assert [] == list((tmp_path / "target").iterdir())


def test_looking_makes_nothing(shm):
    """Where a place would be is seen without making it, and so is that a tmpfs would have to be mounted."""
    shm.chmod(0o1777)
    found = [find_site(shm), find_site(shm / "new"), find_site(Path("/nowhere/at/all"))]

    assert [
        Site(shm / own_name(), mounts=False),
        Site(shm / "new", mounts=False),
        Site(Path("/nowhere/at/all"), mounts=True),
    ] == found
    assert [] == list(shm.iterdir())


def test_a_folder_of_another_user_is_refused(shm):
    """What another user has put there first is not ours to use. Without root, root's own folder stands for it."""
    theirs = shm / "theirs"
    theirs.mkdir()
    if os.getuid() == 0:
        os.chown(theirs, 12345, -1)
        with pytest.raises(StagingRefused, match=r"belongs to user 12345"):
            open_place(theirs, mount_bytes=MIB)
    else:
        with pytest.raises(StagingRefused, match=r"belongs to user 0|one cannot be mounted|no empty folder"):
            open_place(Path("/dev"), mount_bytes=MIB)


def test_a_strangers_state_folder_is_refused(shm):
    """A folder of that name with files in it is not ours: it would be emptied at the stop."""
    (shm / "state").mkdir()
    (shm / "state" / "precious").write_bytes(b"x")

    with pytest.raises(StagingRefused, match="not ours"):
        open_place(shm, mount_bytes=MIB)


def test_nothing_is_mounted_over_files(tmp_path):
    """A folder with content, or a file, is left alone: a mount would hide it."""
    (tmp_path / "precious").write_bytes(b"x")

    for path in (tmp_path, tmp_path / "precious"):
        with pytest.raises(StagingRefused, match="no empty folder"):
            open_place(path, mount_bytes=MIB)


def test_opening_again_changes_nothing(shm):
    """A second opening finds what the first has made, with the engines' files in it."""
    place = open_place(shm, mount_bytes=MIB)
    (place.state / "kv").write_bytes(b"x")

    assert place == open_place(shm, mount_bytes=MIB)
    assert (place.state / "kv").is_file()


def test_closing_takes_away_what_is_empty(shm):
    """Our folders go; a stranger's files, and what they are in, stay."""
    place = open_place(shm / "place", mount_bytes=MIB)
    (place.models / "foreign").write_bytes(b"x")
    (place.locks / "a.lock").write_bytes(b"")

    close_place(place)

    assert ["models"] == [entry.name for entry in place.path.iterdir()]


def test_clearing_the_state_follows_no_link(shm, tmp_path):
    """The engines' files go, deep ones too; a link goes, and what it leads to stays."""
    place = open_place(shm, mount_bytes=MIB)
    (tmp_path / "kept").write_bytes(b"x")
    (place.state / "deep" / "er").mkdir(parents=True)
    (place.state / "deep" / "er" / "kv").write_bytes(b"x")
    (place.state / "link").symlink_to(tmp_path)

    clear_state(place)

    assert (tmp_path / "kept").is_file()
    assert [".made-by-hoshikage"] == [entry.name for entry in place.state.iterdir()]


def test_bytes_below(tmp_path):
    """All files below count, what links lead to does not; a folder that is gone has none."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(bytes(100))
    (tmp_path / "b").write_bytes(bytes(10))
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)

    assert 110 + len(str(tmp_path)) == bytes_below(tmp_path)
    assert 0 == bytes_below(tmp_path / "gone")
