"""The locks that processes see of one another; descriptors of one process exclude each other just the same."""

from __future__ import annotations

import os

import pytest

from hoshikage.plugins.ramdisk.guards import Attendance, Guards, is_kept, lock_for_removal
from hoshikage.plugins.ramdisk.marker import MARKER


@pytest.fixture
def folder(disk):
    """A copy's folder."""
    (disk / MARKER).write_bytes(b"{}")
    return disk


def removable(folder) -> bool:
    descriptor = lock_for_removal(folder)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def test_a_guarded_copy_is_kept_until_the_last_drop(folder):
    """However many take it, the copy is kept until all have dropped it."""
    guards = Guards()
    taken = [guards.take("a", folder), guards.take("a", folder)]
    kept = [(is_kept(folder), removable(folder))]
    guards.drop("a")
    kept.append((is_kept(folder), removable(folder)))
    guards.drop("a")

    assert [True, True] == taken
    assert [(True, False)] * 2 == kept
    assert (False, True, False) == (is_kept(folder), removable(folder), guards.has("a"))


def test_a_copy_that_was_made_anew_is_guarded_anew(folder):
    """Where somebody deleted the copy in spite of the guard, the next `take` keeps the new one, for all who took."""
    guards = Guards()
    guards.take("a", folder)
    (folder / MARKER).unlink()
    gone = guards.take("a", folder)
    (folder / MARKER).write_bytes(b"{}")
    taken = guards.take("a", folder)
    kept = [is_kept(folder)]
    guards.drop("a")
    kept.append(is_kept(folder))
    guards.drop("a")

    assert (False, True, [True, True], False) == (gone, taken, kept, is_kept(folder))


def test_several_may_keep_one_copy(folder):
    """Two servers keep the same copy; it is kept until both have let go."""
    one, two = Guards(), Guards()
    taken = [one.take("a", folder), two.take("a", folder)]
    one.drop_all()
    kept = is_kept(folder)
    two.drop_all()

    assert ([True, True], True, False) == (taken, kept, is_kept(folder))


def test_a_copy_that_goes_cannot_be_taken(folder):
    """While one removes it, nobody gets it; there is none afterwards either."""
    descriptor = lock_for_removal(folder)
    guards = Guards()
    during = guards.take("a", folder)
    os.close(descriptor)
    (folder / MARKER).unlink()

    assert (False, False, False) == (during, guards.take("a", folder), guards.has("a"))
    assert not is_kept(folder)
    assert lock_for_removal(folder) is None


def test_of_several_servers_one_is_the_last(disk):
    """Who leaves while others are here is not alone; the last one is, and nobody gets in before it has left."""
    file = disk / ".servers"
    one, two = Attendance.enter(file), Attendance.enter(file)
    first = one.alone()
    one.leave()
    last = two.alone()
    newcomer = Attendance.enter(file)
    file.unlink()
    two.leave()
    after = Attendance.enter(file)

    assert (False, True, None) == (first, last, newcomer)
    assert after is not None
    assert after.alone()
    after.leave()


def test_a_deleted_file_lets_nobody_in(disk):
    """A lock on a file that was deleted and made anew keeps nobody out, so it does not count."""
    file = disk / ".servers"
    one = Attendance.enter(file)
    file.unlink()
    file.write_bytes(b"")
    two = Attendance.enter(file)

    assert two.alone()
    one.leave()
    two.leave()
