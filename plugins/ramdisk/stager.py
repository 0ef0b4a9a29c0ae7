"""The RAM-disk stager: the contract's methods over the place, its copies and their uses."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from hoshikage import StagedCopy, StagedView, StageSpace
from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.budget import measure_room
from hoshikage.plugins.ramdisk.copying import CopyingCancelled, Progress, yield_to_others
from hoshikage.plugins.ramdisk.guards import Guards, is_kept
from hoshikage.plugins.ramdisk.leases import Leases
from hoshikage.plugins.ramdisk.opened import Opened
from hoshikage.plugins.ramdisk.pins import read_pins, write_pins
from hoshikage.plugins.ramdisk.shelf import Shelf, ShelfCopy, Source, useless
from hoshikage.plugins.ramdisk.staging import Staging
from hoshikage.plugins.ramdisk.uses import Uses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from hoshikage import ModelRecord
    from hoshikage.plugins.ramdisk.place import Place
    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

COPYING_THREADS: Final = 4  # a slow source must not hold up another model
FILE_THREADS: Final = 2  # deleting waits for no copying: somebody may need the memory
LONGEST_ROUND_S: Final = 30.0


@dataclass(slots=True)
class Job:
    """A copying that runs, or waits for a thread.

    Attributes:
        ended_because: why it was cancelled.
    """

    file: Path
    size_bytes: int
    progress: Progress
    thread: Future[ShelfCopy]
    waiting: int = 0
    ended_because: str = ""

    def cancel(self, because: str) -> None:
        """End it at its next step, or before its first."""
        self.ended_because = self.ended_because or because
        self.progress.cancelled.set()
        self.thread.cancel()  # nothing happens where it runs


class RamDisk:
    """Keeps copies on a tmpfs. Its methods run in the event loop; the file work of seconds runs in its threads.

    Args:
        path: the folder of the settings, absolute; `None` is the usual one.
        pins_file: where pins are remembered.
        clock: seconds that only go forward.
    """

    name = "ramdisk"

    def __init__(
        self,
        settings: RamDiskSettings,
        *,
        path: Path | None,
        pins_file: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waits = settings.wait
        self._settings = settings
        self._path = path
        self._pins_file = pins_file
        self._guards = Guards()
        self._uses = Uses(self._guards, clock)
        self._leases = Leases(self._guards)
        self._open: Opened | None = None
        self._reason = "the server has not started it yet"
        self._copying = ThreadPoolExecutor(COPYING_THREADS, "ramdisk copying", initializer=yield_to_others)
        self._files = ThreadPoolExecutor(FILE_THREADS, "ramdisk files")
        self._jobs: dict[Path, tuple[Job, asyncio.Task[ShelfCopy]]] = {}
        self._rounds: asyncio.Task[None] | None = None
        self._pins_written: asyncio.Task[None] | None = None

    # --- lifetime ---

    async def start(self) -> None:
        """See `Stager.start`."""
        self._uses.pins = await self._in_thread(functools.partial(read_pins, self._pins_file))
        if not self._settings.enabled:
            self._reason = "it is switched off (ramdisk.enabled)"
            return
        try:
            self._open = await self._in_thread(functools.partial(Opened.open, self._settings, self._path))
        except (StagingRefused, OSError) as error:
            self._reason = error.message if isinstance(error, StagingRefused) else str(error)
            log.warning("ramdisk_unavailable", reason=self._reason)
            return
        copies = self._open.shelf.copies()
        self._uses.look_at(copies)
        self._uses.guard_pinned(copies)
        self._rounds = asyncio.create_task(self._free_idle_again_and_again(), name="ramdisk rounds")
        space = self.space()
        log.info("ramdisk_ready", path=str(space.path), limit_bytes=space.limit_bytes, used_bytes=space.used_bytes)

    async def stop(self) -> None:
        """See `Stager.stop`."""
        opened, self._open = self._open, None
        self._reason = "the server stops"
        for job, _ in self._jobs.values():
            job.cancel(self._reason)
        if self._rounds is not None:
            self._rounds.cancel()
        tasks = [task for _, task in self._jobs.values()]
        await asyncio.gather(*tasks, *filter(None, (self._rounds, self._pins_written)), return_exceptions=True)
        self._leases.clear()
        self._uses.clear()
        if opened is not None:
            await self._in_thread(functools.partial(opened.close, keep=self._settings.keep_on_stop))
        for executor in (self._copying, self._files):
            executor.shutdown(wait=False)  # nothing runs in it any more

    # --- looking ---

    @property
    def available(self) -> bool:
        """See `Stager.available`."""
        return self._open is not None

    def space(self) -> StageSpace:
        """See `Stager.space`."""
        if self._open is None:
            return StageSpace(None, False, self._reason, 0, 0, 0)
        path = self._open.place.path
        try:
            room = measure_room(self._settings, path, used_bytes=self._open.shelf.used_bytes())
        except OSError as error:
            return StageSpace(path, False, f"{path} is gone: {error.strerror}", 0, 0, 0)
        return StageSpace(path, True, "", room.limit_bytes, room.used_bytes, max(0, room.free_bytes))

    def views(self) -> tuple[StagedView, ...]:
        """See `Stager.views`."""
        if self._open is None:
            return ()
        now, pins = time.time(), self._uses.pins
        copying = [
            StagedView(j.file, j.size_bytes, j.progress.done_bytes, "copying", j.file in pins, False, now)
            for j, _ in self._jobs.values()
        ]
        ready = sorted(self._open.shelf.copies(), key=self._uses.rank, reverse=True)
        return (*copying, *(self._view(copy) for copy in ready if self._is_shown(copy)))

    def find(self, record: ModelRecord) -> StagedCopy | None:
        """See `Stager.find`."""
        copy = self._current(record.file)
        return None if copy is None or self._open is None else _staged(copy, self._open.place)

    # --- copying ---

    async def stage(self, record: ModelRecord) -> StagedCopy:
        """See `Stager.stage`."""
        file = record.file
        if self._open is None:
            raise StagingRefused(f"the RAM disk is not available: {self._reason}")
        if file is None:
            raise StagingRefused(f"model {record.name!r} has no file that could be copied")
        place = self._open.place
        if (copy := self._current(file)) is not None and self._guards.take(copy.key, copy.folder):
            self._leases.lease(copy.key)
            self._uses.used(copy)
            return _staged(copy, place)
        return _staged(await self._join(file), place)

    async def _join(self, file: Path) -> ShelfCopy:
        """Wait for the copying that runs, or for a new one; the last who gives up ends it, and sees to its end."""
        while (running := self._jobs.get(file)) is not None and running[0].progress.cancelled.is_set():
            await asyncio.wait([running[1]])
        job, task = running or self._begin(file)
        job.waiting += 1
        try:
            return await asyncio.shield(task)
        finally:
            job.waiting -= 1
            if not job.waiting and not task.done():
                job.cancel("nobody waits for it any more")
                await asyncio.wait([task])  # whoever hears that it ended may count on its memory

    def _begin(self, file: Path) -> tuple[Job, asyncio.Task[ShelfCopy]]:
        if self._open is None:
            raise StagingRefused(f"the RAM disk is not available: {self._reason}")
        source, progress = Source.of(file), Progress()
        self._let_go_of_useless(source, self._open.shelf)
        staging = Staging(self._settings, self._open.shelf, self._guards, self._uses.usage)
        job = Job(file, source.size_bytes, progress, self._copying.submit(staging.stage, file, progress))
        task = asyncio.create_task(self._copy(job, self._open.shelf), name=f"stage {file.name}")
        self._jobs[file] = (job, task)
        task.add_done_callback(functools.partial(self._ended, file))
        return job, task

    def _let_go_of_useless(self, source: Source, shelf: Shelf) -> None:
        """What keeps a good copy must keep no old or damaged one, which has to go now; loaded models still do."""
        for copy in shelf.copies_of(source.file):
            if not copy.is_of(source) or copy.state() != "whole":
                self._leases.end(copy.key)
                self._uses.drop_pin_guard(copy)

    async def _copy(self, job: Job, shelf: Shelf) -> ShelfCopy:
        begin = time.monotonic()
        try:
            copy = await asyncio.wrap_future(job.thread)
        except (CopyingCancelled, asyncio.CancelledError) as error:
            if not job.ended_because:  # the loop ends without a stop: its thread must not go on for seconds
                job.progress.cancelled.set()
                raise
            raise StagingRefused(f"the copying of {job.file} was cancelled: {job.ended_because}") from error
        self._leases.lease(copy.key)
        self._uses.used(copy)
        self._uses.guard_pinned(shelf.copies())
        seconds = round(time.monotonic() - begin, 3)
        log.info("ramdisk_staged", file=str(job.file), size_bytes=copy.marker.size_bytes, seconds=seconds)
        return copy

    def _ended(self, file: Path, task: asyncio.Task[ShelfCopy]) -> None:
        del self._jobs[file]
        if not task.cancelled() and (error := task.exception()) is not None:  # perhaps nobody waits for it any more
            log.info("ramdisk_not_staged", file=str(file), reason=str(error))

    async def unstage(self, record: ModelRecord) -> bool:
        """See `Stager.unstage`."""
        if self._open is None or record.file is None:
            return False
        shelf = self._open.shelf
        gone = await self._end_copying(record.file)
        for copy in shelf.copies_of(record.file):
            self._leases.end(copy.key)
            self._uses.drop_pin_guard(copy)
            gone |= await self._in_thread(functools.partial(shelf.remove, copy))
        self._uses.guard_pinned(shelf.copies())
        return gone

    async def _end_copying(self, file: Path) -> bool:
        """End the copying of a file; whether there was one that came to no copy."""
        if file not in self._jobs:
            return False
        job, task = self._jobs[file]
        job.cancel("the copy was given up meanwhile")
        await asyncio.wait([task])
        return task.cancelled() or task.exception() is not None

    # --- uses ---

    def hold(self, record: ModelRecord) -> None:
        """See `Stager.hold`."""
        copy = self._copy_of(record)
        self._uses.hold(record, copy)
        if copy is not None:
            self._leases.end(copy.key)  # what it was for has come

    def release(self, record: ModelRecord) -> None:
        """See `Stager.release`."""
        self._uses.release(record)

    def touch(self, record: ModelRecord) -> None:
        """See `Stager.touch`."""
        if (copy := self._copy_of(record)) is not None:
            self._uses.used(copy)

    def pin(self, record: ModelRecord, *, pinned: bool) -> None:
        """See `Stager.pin`."""
        if record.file is None:
            return
        pins = self._uses.pins | {record.file} if pinned else self._uses.pins - {record.file}
        if pins == self._uses.pins:
            return  # each is told again at every pin and start: nothing is to be looked at or written for it
        self._uses.pins = pins
        if self._open is not None:
            self._uses.guard_pinned(self._open.shelf.copies())
        self._pins_written = asyncio.create_task(self._write_pins(self._pins_written), name="ramdisk pins")

    async def free_idle(self) -> None:
        """Let copies go that were not used for `great_timeout_min`, useless ones, and what killed servers left."""
        if self._open is None:
            return
        shelf = self._open.shelf
        copies = shelf.copies()
        self._uses.look_at(copies)  # at once: whoever uses a copy meanwhile must not be overlooked
        outdated = await self._in_thread(functools.partial(_tidy, shelf, copies))
        self._uses.guard_pinned(copy for copy in copies if copy.key not in outdated)
        limit_s = self._settings.great_timeout_min * 60
        for copy in copies:
            idle_s = self._uses.idle_s(copy)
            too_long = 0 < limit_s <= idle_s and copy.source not in self._uses.pins
            if (too_long or copy.key in outdated) and await self._in_thread(functools.partial(shelf.remove, copy)):
                log.info("ramdisk_freed", file=str(copy.source), idle_s=round(idle_s), outdated=copy.key in outdated)

    # --- inside ---

    async def _free_idle_again_and_again(self) -> None:
        """Free what is idle, often enough for the time that is set."""
        limit_s = self._settings.great_timeout_min * 60
        interval_s = min(LONGEST_ROUND_S, limit_s / 10) if limit_s else LONGEST_ROUND_S
        while True:
            try:
                await self.free_idle()
            except OSError as error:
                log.warning("ramdisk_round_failed", reason=str(error))
            await asyncio.sleep(interval_s)

    async def _write_pins(self, before: asyncio.Task[None] | None) -> None:
        """Write them after the earlier ones, so that the last word is the last."""
        if before is not None:
            await asyncio.wait([before])
        await asyncio.to_thread(write_pins, self._pins_file, self._uses.pins)

    def _current(self, file: Path | None) -> ShelfCopy | None:
        """The whole copy of a file as it is now."""
        if file is None or self._open is None:
            return None
        with contextlib.suppress(StagingRefused):
            source = Source.of(file)
            copy = self._open.shelf.copy(source.key)
            if copy is not None and copy.is_of(source) and copy.state() == "whole":
                return copy
        return None

    def _copy_of(self, record: ModelRecord) -> ShelfCopy | None:
        """The copy that a record's model was loaded from, though its source may have been replaced since."""
        if record.file is None or self._open is None:
            return None
        copies = self._open.shelf.copies_of(record.file)
        return min(copies, key=lambda copy: _distance_s(copy, record), default=None)

    def _is_shown(self, copy: ShelfCopy) -> bool:
        """A copy that is only looked at again stands among those that are being copied."""
        state = copy.state()
        return state == "whole" or (state == "touched" and copy.source not in self._jobs)

    def _view(self, copy: ShelfCopy) -> StagedView:
        size_bytes = copy.marker.size_bytes
        held = self._uses.is_held(copy) or (not self._guards.has(copy.key) and is_kept(copy.folder, tries=1))
        pinned = copy.source in self._uses.pins
        return StagedView(copy.source, size_bytes, size_bytes, "ready", pinned, held, copy.used_ns / 1e9)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run file work in the stager's own threads: the shared ones would let it wait behind a long copying."""
        return await asyncio.get_running_loop().run_in_executor(self._files, call)


def _tidy(shelf: Shelf, copies: Sequence[ShelfCopy]) -> set[str]:
    """Take away what killed servers left. Returns which copies are of no use any more."""
    for name in shelf.clean_leftovers():
        log.info("ramdisk_cleaned", folder=name)
    return {copy.key for copy in useless(copies)}


def _staged(copy: ShelfCopy, place: Place) -> StagedCopy:
    return StagedCopy(copy.file, copy.marker.size_bytes, place.state)


def _distance_s(copy: ShelfCopy, record: ModelRecord) -> float:
    times = [part.source_mtime_ns / 1e9 for part in copy.marker.parts if part.name == copy.source.name]
    return abs(times[0] - record.modified_at) if times else float("inf")
