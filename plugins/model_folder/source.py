"""The models of a folder, kept up to date while a server runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from hoshikage.plugins.model_folder.listing import SETTLE_S, State, look
from hoshikage.plugins.model_folder.watch import watch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hoshikage import ModelRecord
    from hoshikage.plugins.model_folder.listing import Candidate

log = structlog.get_logger(__name__)


class FolderModels:
    """Offers the whole `*.gguf` files of one folder, not of those below it; the name is the file's stem.

    Between `start` and `stop` the folder is watched, and `models` costs nothing; otherwise `models` looks itself.
    """

    name = "model_folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: Mapping[Path, Candidate] = {}
        self._complaint = ""
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def models(self) -> Sequence[ModelRecord]:
        """The models that were whole at the last look."""
        if not self._watched():
            self._look(settle_s=0.0)
        return [seen.record for seen in self._seen.values() if seen.record is not None]

    async def start(self) -> None:
        """Look once, then watch."""
        await asyncio.to_thread(self._look, settle_s=0.0)
        self._tasks = [
            asyncio.create_task(watch_folder(self._folder, self._woken.set), name="watch model folder"),
            asyncio.create_task(self._keep_looking(), name="look at model folder"),
        ]
        for task in self._tasks:
            task.add_done_callback(_tell_failure)

    async def stop(self) -> None:
        """Watch no longer. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- inside ---

    def _watched(self) -> bool:
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def _keep_looking(self) -> None:
        while True:
            settling = any(seen.state is State.SETTLING for seen in self._seen.values())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), SETTLE_S if settling else None)
            self._woken.clear()
            await asyncio.to_thread(self._look, settle_s=SETTLE_S)

    def _look(self, *, settle_s: float) -> None:
        """Runs in one thread at a time; what it finds replaces the old in one step."""
        try:
            self._seen = look(self._folder, self._seen, now=time.monotonic(), wall=time.time(), settle_s=settle_s)
            self._complain(_missing(self._folder))
        except OSError as error:
            self._seen = {}
            self._complain(f"{error.strerror}; check the disk and the permissions")

    def _complain(self, reason: str) -> None:
        """Say once why nothing can be offered; an empty reason is that all is well."""
        if reason and reason != self._complaint:  # the folder is looked at every few seconds
            log.error("model_folder_unreadable", folder=str(self._folder), reason=reason)
        self._complaint = reason


def _missing(folder: Path) -> str:
    """Why there is no folder under its name, if there is none."""
    if folder.is_dir():
        return ""
    if folder.exists():
        return "it is no folder; set model_folder.path to the folder that holds the models"
    return "there is no such folder; make it, or change model_folder.path"


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Without the watch the folder is looked at whenever somebody asks, so its models stay on offer."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("model_folder_not_watched", task=task.get_name(), exc_info=error)
