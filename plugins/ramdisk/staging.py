"""Making one copy, from the look at the source to the whole copy under its name; runs in a thread."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from filelock import Timeout

from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.budget import measure_room
from hoshikage.plugins.ramdisk.copying import (
    CopyDamaged,
    Progress,
    SourceChanged,
    copy_parts,
    reserve,
    sha256_of_copy,
)
from hoshikage.plugins.ramdisk.eviction import Candidate, make_room
from hoshikage.plugins.ramdisk.guards import Guards, is_kept
from hoshikage.plugins.ramdisk.marker import Marker, write_marker
from hoshikage.plugins.ramdisk.shelf import Shelf, ShelfCopy, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from filelock import FileLock

    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

log = structlog.get_logger(__name__)

LOCK_INTERVAL_S: Final = 0.05
TRIES: Final = 2  # a source that changes again while it is copied again is being written


@dataclass(frozen=True, slots=True)
class Usage:
    """What the stager knows of the copies' use.

    Attributes:
        since: monotonic time of last use in this process, by key.
        pinned: sources that stay.
    """

    since: Mapping[str, float]
    pinned: frozenset[Path]


class Staging:
    """Makes copies on a shelf. Each copy that it hands over is guarded once: the caller drops that guard."""

    def __init__(self, settings: RamDiskSettings, shelf: Shelf, guards: Guards, usage: Callable[[], Usage]) -> None:
        self._settings = settings
        self._shelf = shelf
        self._guards = guards
        self._usage = usage

    def stage(self, file: Path, progress: Progress) -> ShelfCopy:
        """Find the copy or make it.

        Raises:
            StagingRefused: with the reason; no half copy is left.
            CopyingCancelled: it was cancelled; no half copy is left.
        """
        for _ in range(TRIES):
            source = Source.of(file)
            try:
                with _held(self._shelf.model_lock(source.key), progress):
                    return self._usable(source, progress) or self._make(source, progress)
            except SourceChanged as error:
                log.info("ramdisk_source_changed", file=str(error))
            except CopyDamaged as error:
                raise StagingRefused(f"{error} did not read back as it was written; is the memory sound?") from error
            except OSError as error:
                reason = f"{error.filename or file}: {error.strerror or error}"
                raise StagingRefused(f"{file} cannot be copied to the RAM disk: {reason}") from error
        raise StagingRefused(f"{file} changed while it was copied, and again; stage it when it is complete")

    # --- inside ---

    def _usable(self, source: Source, progress: Progress) -> ShelfCopy | None:
        """The copy that is there, if it is good; one that is not is taken away."""
        copy = self._shelf.copy(source.key)
        if copy is None or not copy.is_of(source) or not self._guards.take(copy.key, copy.folder):
            return None
        try:
            if self._is_good(copy, progress):
                return copy
        except BaseException:
            self._guards.drop(copy.key)
            raise
        self._guards.drop(copy.key)
        log.warning("ramdisk_copy_damaged", copy=str(copy.folder))
        if not self._shelf.remove(copy):
            raise StagingRefused(f"the copy in {copy.folder} is damaged, but loaded models read from it; unload them")
        return None

    @staticmethod
    def _is_good(copy: ShelfCopy, progress: Progress) -> bool:
        """Whether it is as it was left; where only the time differs, it is read again and gets its time back."""
        state = copy.state()
        if state != "touched":
            return state == "whole"
        for part in copy.marker.parts:
            file = copy.folder / part.name
            found = file.lstat().st_mtime_ns
            if found == part.copy_mtime_ns:
                continue
            if sha256_of_copy(file, progress) != part.sha256 or file.lstat().st_mtime_ns != found:
                return False
            os.utime(file, ns=(found, part.copy_mtime_ns), follow_symlinks=False)
        return copy.state() == "whole"

    def _make(self, source: Source, progress: Progress) -> ShelfCopy:
        for old in self._shelf.copies_of(source.file):
            if not old.is_of(source):
                self._shelf.remove(old)
        self._shelf.discard_filling(source.key)  # of a killed process, since the lock was free
        try:
            self._take_room(source, progress)
            return self._fill(source, progress)
        except BaseException:
            self._shelf.discard_filling(source.key)
            raise

    def _take_room(self, source: Source, progress: Progress) -> None:
        """Decide who goes, and take the room before anybody else decides.

        Raises:
            StagingRefused: there cannot be room.
        """
        folder = self._shelf.filling(source.key)
        with _held(self._shelf.place_lock(), progress):
            self._make_room(source)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            # First of all the names, so that a killed process leaves nothing that nobody can tell to be ours.
            plan = Marker(source=str(source.file), parts=tuple(p.mark() for p in source.parts))
            write_marker(folder, plan, reserve=True)
            try:
                reserve(folder, source.parts, progress)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM}:
                    raise
                needed = f"{source.size_bytes} bytes are needed"
                raise StagingRefused(f"the RAM disk {self._shelf.place.path} is full: {needed}") from error

    def _make_room(self, source: Source) -> None:
        busy: set[str] = set()
        while True:
            room = measure_room(self._settings, self._shelf.place.path, used_bytes=self._shelf.used_bytes())
            copies = {copy.key: copy for copy in self._shelf.copies()}
            decision = make_room([self._candidate(c, busy) for c in copies.values()], source.room_bytes(), room)
            if decision.refusal:
                raise StagingRefused(f"no room on the RAM disk {self._shelf.place.path}: {decision.refusal}")
            stayed = {key for key in decision.victims if not self._evict(copies[key], source.file)}
            if not stayed:
                return  # without another measuring: the kernel's counters of free memory lag behind
            busy |= stayed

    def _evict(self, copy: ShelfCopy, file: Path) -> bool:
        gone = self._shelf.remove(copy)
        if gone:
            log.info("ramdisk_evicted", file=str(copy.source), size_bytes=copy.marker.size_bytes, room_for=str(file))
        return gone

    def _candidate(self, copy: ShelfCopy, busy: set[str]) -> Candidate:
        usage = self._usage()
        return Candidate(
            copy.key,
            copy.marker.size_bytes,
            (usage.since.get(copy.key, 0.0), copy.used_ns),
            pinned=copy.source in usage.pinned,
            held=copy.key in busy or is_kept(copy.folder),
        )

    def _fill(self, source: Source, progress: Progress) -> ShelfCopy:
        filling, folder = self._shelf.filling(source.key), self._shelf.folder(source.key)
        marks = copy_parts(source.parts, filling, progress, verify=self._settings.verify)
        write_marker(filling, Marker(source=str(source.file), parts=marks))
        # Guarded before it has its name: nobody shall let it go in between.
        if not self._guards.take(source.key, filling):
            raise StagingRefused(f"{filling} was taken away by somebody else; stage {source.file} again")
        try:
            return self._finish(filling, folder, source)
        except BaseException:
            self._guards.drop(source.key)
            raise

    def _finish(self, filling: Path, folder: Path, source: Source) -> ShelfCopy:
        try:
            filling.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
            raise StagingRefused(f"{folder} holds files that are not ours; remove it") from error
        copy = self._shelf.copy(source.key)
        if copy is None:
            raise StagingRefused(f"{folder} was taken away by somebody else; stage {source.file} again")
        return copy


@contextlib.contextmanager
def _held(lock: FileLock, progress: Progress) -> Iterator[None]:
    """Hold a lock; waiting for it ends when the copying is cancelled.

    Raises:
        CopyingCancelled: it was cancelled.
    """
    while True:
        progress.check()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.cancelled.wait(LOCK_INTERVAL_S)
        else:
            break
    try:
        yield
    finally:
        lock.release()
