"""Locks that processes see of one another: who is here, and which copies must not go."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from typing import TYPE_CHECKING

from hoshikage.plugins.ramdisk.marker import MARKER

if TYPE_CHECKING:
    from pathlib import Path

# An exclusive lock on a marker is held for the time of one rename, or of a look whether it can be had. A shared one
# waits for that, and a second look does not take the first one's lock for somebody who keeps the copy.
TRIES = 20
FEW_TRIES = 3
TRY_INTERVAL_S = 0.005


class Guards:
    """Shared locks on the markers of copies, one per copy however often it is taken.

    The system drops them when the process dies, however it dies. Used from the event loop and from copying threads.
    """

    def __init__(self) -> None:
        self._taken: dict[str, tuple[int, int]] = {}  # key: descriptor, how often
        self._mutex = threading.Lock()

    def take(self, key: str, folder: Path) -> bool:
        """Keep a copy from going, in this process and in all others; false where there is none (any more)."""
        with self._mutex:
            descriptor, count = self._taken.get(key, (-1, 0))
            if count == 0 or not _is_still(descriptor, folder / MARKER):  # a stranger may have deleted the copy
                new = _lock_marker(folder, fcntl.LOCK_SH)
                if new < 0:
                    return False
                if count:
                    os.close(descriptor)  # it kept nothing any more
                descriptor = new
            self._taken[key] = (descriptor, count + 1)
            return True

    def drop(self, key: str) -> None:
        """Take back one `take`."""
        with self._mutex:
            descriptor, count = self._taken.pop(key)
            if count > 1:
                self._taken[key] = (descriptor, count - 1)
            else:
                os.close(descriptor)

    def drop_all(self) -> None:
        """Take back all."""
        with self._mutex:
            for descriptor, _ in self._taken.values():
                os.close(descriptor)
            self._taken.clear()

    def has(self, key: str) -> bool:
        """Whether this process keeps the copy."""
        return key in self._taken


def lock_for_removal(folder: Path) -> int | None:
    """A descriptor whose lock keeps every `take` away until it is closed; `None` while somebody keeps the copy."""
    descriptor = _lock_marker(folder, fcntl.LOCK_EX, tries=FEW_TRIES)
    return descriptor if descriptor >= 0 else None


def is_kept(folder: Path, *, tries: int = FEW_TRIES) -> bool:
    """Whether any process keeps the copy; one that is gone is not kept."""
    descriptor = _lock_marker(folder, fcntl.LOCK_EX, tries=tries)
    if descriptor >= 0:
        os.close(descriptor)
        return False
    return (folder / MARKER).exists()


def _lock_marker(folder: Path, kind: int, *, tries: int = TRIES) -> int:
    for attempt in range(tries):
        if attempt:
            time.sleep(TRY_INTERVAL_S)
        try:
            descriptor = os.open(folder / MARKER, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return -1
        if _try_lock(descriptor, kind) and _is_still(descriptor, folder / MARKER):
            return descriptor
        os.close(descriptor)
    return -1


class Attendance:
    """A shared lock that every server on one place has, so that the last one to leave knows that it is the last."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def enter(cls, file: Path) -> Attendance | None:
        """Be here; `None` while another server clears the place, which ends with the file's being deleted.

        Raises:
            OSError: the file cannot be made.
        """
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if _try_lock(descriptor, fcntl.LOCK_SH) and _is_still(descriptor, file):
            return cls(descriptor)
        os.close(descriptor)
        return None

    def alone(self) -> bool:
        """Whether nobody else is here. If so, nobody gets in until `leave`, which is all that may follow.

        Of two that ask at once, one is told so at least: the attempt itself gives up the shared lock.
        """
        return _try_lock(self._descriptor, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Be gone."""
        os.close(self._descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_still(descriptor: int, file: Path) -> bool:
    """Whether a descriptor is of the file that has this name now: a lock on a deleted file keeps nobody out."""
    try:
        now = file.lstat()
    except OSError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_ino, mine.st_dev) == (now.st_ino, now.st_dev)
