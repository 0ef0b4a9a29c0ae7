"""Between the slots and the stager: where a model is read from, and why."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.errors import NotSupported, StagingRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hoshikage.core.contracts import ModelRecord, StagedCopy, StagedView, Stager, StageSpace

log = structlog.get_logger(__name__)

MAX_REFUSALS: Final = 256  # of so many models it is remembered why the last try to copy them failed


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model is to be read from.

    Attributes:
        copy: the staged copy, held until `Storage.release`; `None` is the disk.
        note: why it is the disk, where a stager would have been there for it.
        stager: who holds the copy; it may not be the one in use any more when the copy is released.
        copy_later: a copy is wanted for the next load.
    """

    copy: StagedCopy | None = None
    note: str = ""
    stager: Stager | None = None
    copy_later: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a version of a model was not copied."""

    version: tuple[float, int]
    reason: str


class Storage:
    """The tiers below the loaded models: the disk, and the first stager that is available."""

    def __init__(self, stagers: Sequence[Stager]) -> None:
        self._stagers = list(stagers)
        self._prefetching: dict[Path, asyncio.Task[None]] = {}
        self._refusals: dict[Path, Refusal] = {}
        self._on_change: Callable[[], None] = _nothing

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Call this whenever a copying has ended or a copy was let go: its memory can be asked for then, not before."""
        self._on_change = callback

    async def start(self) -> None:
        """Let every stager get its place ready; one that cannot even say why not is left out."""
        for stager in list(self._stagers):
            try:
                await stager.start()
                space = stager.space()
            except Exception:
                log.exception("stager_broke_its_contract", stager=stager.name)
                self._stagers.remove(stager)
                continue
            log.info(
                "stager_started",
                stager=stager.name,
                available=space.available,
                path=str(space.path) if space.path else None,
                limit_bytes=space.limit_bytes,
                reason=space.reason or None,
            )

    async def stop(self) -> None:
        """End what is being fetched ahead, and let every stager give back its place."""
        for task in list(self._prefetching.values()):
            task.cancel()
        await asyncio.gather(*self._prefetching.values(), return_exceptions=True)
        for stager in self._stagers:
            try:
                await stager.stop()
            except Exception:
                log.exception("stager_broke_its_contract", stager=stager.name)

    @property
    def stager(self) -> Stager | None:
        """The one in use."""
        return next((s for s in self._stagers if s.available), None)

    def space(self) -> StageSpace | None:
        """The room of the stager in use, or why the first one is not available; `None` where there is none at all."""
        stager = self.stager or next(iter(self._stagers), None)
        return stager.space() if stager is not None else None

    def views(self) -> tuple[StagedView, ...]:
        """Every copy."""
        return self.stager.views() if self.stager is not None else ()

    def find(self, record: ModelRecord) -> StagedCopy | None:
        """The copy of a model, where there is one."""
        return self.stager.find(record) if self.stager is not None and record.file is not None else None

    def refusal(self, record: ModelRecord) -> str:
        """Why the last try to copy a model failed.

        Empty where it did not, or is under way; where the file is another one since; and where there is a copy by now.
        """
        refused = self._refusals.get(record.file) if record.file is not None else None
        if refused is None or refused.version != _version(record):
            return ""
        return "" if self.find(record) is not None else refused.reason

    async def place(self, record: ModelRecord) -> Placement:
        """Stage a model if that is possible, and hold the copy. It never fails: there is always the disk."""
        if record.file is None or not self._stagers:
            return Placement()
        stager = self.stager
        if stager is None:
            return Placement(note=f"loaded from disk: {self._stagers[0].space().reason}")
        try:
            return await self._held(stager, record)
        except StagingRefused as error:
            log.warning("model_not_staged", model=record.name, stager=stager.name, reason=error.message)
            return Placement(note=f"loaded from disk: {error.message}")
        except Exception as error:
            log.exception("stager_broke_its_contract", stager=stager.name, model=record.name)
            return Placement(note=f"loaded from disk: {stager.name} failed: {error}")

    def release(self, record: ModelRecord, placement: Placement) -> None:
        """The model that was placed has been closed."""
        if placement.stager is not None:
            placement.stager.release(record)

    def touch(self, record: ModelRecord) -> None:
        """An answer of the model has ended."""
        if self.stager is not None and record.file is not None:
            self.stager.touch(record)

    def pin(self, record: ModelRecord, *, pinned: bool) -> None:
        """Keep the model's copy from leaving, or no longer."""
        if self.stager is not None and record.file is not None:
            self.stager.pin(record, pinned=pinned)

    async def stage(self, record: ModelRecord) -> None:
        """Stage a model because somebody asks for it.

        Raises:
            StagingRefused: with the reason.
            NotSupported: there is nothing to stage.
        """
        await self._staged(self._required(record), record)

    async def unstage(self, record: ModelRecord) -> bool:
        """Let a copy go. Returns whether there was one that could go.

        Raises:
            StagingRefused: no stager is available.
            NotSupported: there is nothing to stage.
        """
        gone = await self._required(record).unstage(record)
        if gone:
            self._on_change()
        return gone

    def prefetch(self, record: ModelRecord) -> None:
        """Begin to stage a model that will be wanted soon, where that costs no other copy."""
        if self.stager is not None and self.stager.space().free_bytes >= record.size_bytes:
            self.copy_later(record)

    def copy_later(self, record: ModelRecord) -> None:
        """Begin to stage a model for its next load; others that are used less may leave for it."""
        stager = self.stager
        if stager is None or record.file is None or record.file in self._prefetching or stager.find(record):
            return
        task = asyncio.create_task(self._fetch(stager, record), name=f"prefetch of {record.name}")
        self._prefetching[record.file] = task
        task.add_done_callback(lambda _: self._prefetching.pop(record.file, None) if record.file else None)

    async def _fetch(self, stager: Stager, record: ModelRecord) -> None:
        try:
            await self._staged(stager, record)
        except StagingRefused as error:
            log.info("prefetch_refused", model=record.name, reason=error.message)
        except Exception:
            log.exception("stager_broke_its_contract", stager=stager.name, model=record.name)
        else:
            log.info("model_prefetched", model=record.name)

    async def _held(self, stager: Stager, record: ModelRecord) -> Placement:
        if not stager.waits and stager.find(record) is None:
            return Placement(note="loaded from disk: its copy on the RAM disk is made meanwhile", copy_later=True)
        copy = await self._staged(stager, record)
        stager.hold(record)
        if stager.find(record) is None:  # somebody let it go in the moment before it was held
            stager.release(record)
            raise StagingRefused("its copy was given up just now")
        return Placement(copy, stager=stager)

    async def _staged(self, stager: Stager, record: ModelRecord) -> StagedCopy:
        assert record.file is not None
        self._refusals.pop(record.file, None)
        try:
            return await stager.stage(record)
        except StagingRefused as error:
            self._remember(record.file, Refusal(_version(record), error.message))
            raise
        except Exception as error:
            self._remember(record.file, Refusal(_version(record), f"{stager.name} failed: {error}"))
            raise
        finally:
            self._on_change()

    def _remember(self, file: Path, refusal: Refusal) -> None:
        self._refusals[file] = refusal
        while len(self._refusals) > MAX_REFUSALS:
            del self._refusals[next(iter(self._refusals))]

    def _required(self, record: ModelRecord) -> Stager:
        if record.file is None:
            raise NotSupported(f"model {record.name!r} has no file, so there is nothing to stage", param="model")
        if self.stager is None:
            space = self.space()
            reason = space.reason if space is not None else "no plug-in offers a stager"
            raise StagingRefused(f"model {record.name!r} cannot be staged: {reason}", param="model")
        return self.stager


def _version(record: ModelRecord) -> tuple[float, int]:
    return record.modified_at, record.size_bytes


def _nothing() -> None:
    """Nobody is listening yet."""
