"""Waking up at changes, also where the system tells of none."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from hoshikage.plugins.model_folder import watch
from tests.fakes import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SEEN_S = 10.0


@contextlib.asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[list[int]]:
    """Watch a folder; each wake-up adds to the list."""
    woken: list[int] = []
    task = asyncio.create_task(watch.watch_folder(folder, lambda: woken.append(1)))
    try:
        yield woken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wakes_at_a_change(folder: Path, woken: list[int]) -> None:
    """Change the folder until that wakes: the watch may not have begun yet."""
    before = len(woken)

    def change() -> bool:
        (folder / f"{len(woken)}").touch()
        (folder / f"{len(woken)}").unlink()
        return len(woken) > before + 1

    await until(change, SEEN_S)


async def test_change_wakes(folder):
    """A file that comes or goes wakes."""
    async with watching(folder) as woken:
        await wakes_at_a_change(folder, woken)


async def test_without_notifications_the_folder_is_polled(folder, monkeypatch):
    """Where no watch is left, one line says so, and changes are seen by looking."""
    real, tries = watch.awatch, []

    def no_watch_left(*args: object, force_polling: bool | None, **kwargs: object) -> object:
        tries.append(force_polling)
        if not force_polling:
            raise OSError(24, "Too many open files")
        return real(*args, force_polling=True, **kwargs)

    monkeypatch.setattr(watch, "awatch", no_watch_left)
    with capture_logs() as logs:
        async with watching(folder) as woken:
            await until(lambda: True in tries, SEEN_S)
            (folder / "a").touch()
            await until(lambda: len(woken) >= 3, SEEN_S)

    assert ["model_folder_polled"] == [entry["event"] for entry in logs]


async def test_folder_that_cannot_even_be_polled_is_looked_at(folder, monkeypatch):
    """One line says so, not one at each try."""

    def nothing_works(*_args: object, **_kwargs: object) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(watch, "awatch", nothing_works)
    monkeypatch.setattr(watch, "APPEARS_S", 0.001)
    with capture_logs() as logs:
        async with watching(folder) as woken:
            await until(lambda: len(woken) > 10, SEEN_S)

    assert ["model_folder_polled"] == [entry["event"] for entry in logs]


async def test_missing_folder_is_waited_for(tmp_path):
    """A folder that is made later is watched from then on."""
    async with watching(tmp_path / "later") as woken:
        await until(lambda: woken)
        (tmp_path / "later").mkdir()
        await wakes_at_a_change(tmp_path / "later", woken)
