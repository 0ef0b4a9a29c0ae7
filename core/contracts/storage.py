"""Where model files may be besides the disk: a stager keeps copies of them in a faster place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.core.contracts.models import ModelRecord

StageState = Literal["copying", "ready"]


@dataclass(frozen=True, slots=True)
class StagedCopy:
    """A verified copy of all files of one model.

    Attributes:
        file: the copy of the record's own file; further parts of a split model lie beside it.
        size_bytes: of all its files.
        state_folder: a folder in the same place for what is saved of the model's conversations.
    """

    file: Path
    size_bytes: int
    state_folder: Path


@dataclass(frozen=True, slots=True)
class StagedView:
    """A copy as a reader sees it.

    Attributes:
        file: the source that was copied.
        size_bytes: of the whole model.
        done_bytes: how much is copied.
        pinned: it stays until it is unpinned or its source changes.
        held: loaded models read from it, so it cannot go.
        last_used: seconds since the epoch.
    """

    file: Path
    size_bytes: int
    done_bytes: int
    state: StageState
    pinned: bool
    held: bool
    last_used: float


@dataclass(frozen=True, slots=True)
class StageSpace:
    """The room that a stager has.

    Attributes:
        available: whether it can stage at all; `reason` says why not.
        limit_bytes: what its copies may take together.
        used_bytes: what they take.
        free_bytes: what could be copied now without any copy leaving, memory and file system considered.
    """

    path: Path | None
    available: bool
    reason: str
    limit_bytes: int
    used_bytes: int
    free_bytes: int


class Stager(Protocol):
    """Keeps copies of model files in a fast place, within a budget of its own.

    The kernel asks the first stager that is available. All methods are called in the event loop; copying runs off it.

    Attributes:
        waits: a load waits for the copy. Otherwise a model without one is loaded from disk at once, and the copy is
            made meanwhile, for the next load.
    """

    name: str
    waits: bool

    @property
    def available(self) -> bool:
        """Whether it can stage now, as in `space`, but without measuring anything: it is asked at every load."""
        ...

    async def start(self) -> None:
        """Get the place ready, take over the whole copies found there, and clean up what a killed process left.

        It never raises: a place that cannot be used is `available=False`, with the reason.
        """
        ...

    async def stop(self) -> None:
        """End copying, and give back the place as the settings say. Idempotent."""
        ...

    def space(self) -> StageSpace:
        """The room that there is."""
        ...

    def views(self) -> tuple[StagedView, ...]:
        """Every copy, the most recently used first."""
        ...

    def find(self, record: ModelRecord) -> StagedCopy | None:
        """The whole and current copy of a model, where there is one; looks at the files' sizes and times only."""
        ...

    async def stage(self, record: ModelRecord) -> StagedCopy:
        """Copy a model, letting the least recently used copies go that are neither pinned nor held.

        Asked again while it copies, it waits for the same copy. Cancelling all who wait ends the copying: the
        last of them returns when its memory is given back.

        Raises:
            StagingRefused: with the reason; nothing is left behind.
        """
        ...

    async def unstage(self, record: ModelRecord) -> bool:
        """Let a copy go, pinned or not. Returns whether there was one that could go: a held one cannot.

        One that is being made is given up; who waits for it is refused.
        """
        ...

    def hold(self, record: ModelRecord) -> None:
        """A loaded model reads from the copy: it stays until `release`, called as often."""
        ...

    def release(self, record: ModelRecord) -> None:
        """Take back one `hold`."""
        ...

    def touch(self, record: ModelRecord) -> None:
        """An answer of the model has just ended: what counts the copy's idle time begins anew."""
        ...

    def pin(self, record: ModelRecord, *, pinned: bool) -> None:
        """Keep a copy, present or future, from leaving; or no longer."""
        ...
