"""Waking up when the content of a folder changes, wherever the system tells of it, and by looking where not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog
from watchfiles import awatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger(__name__)

STEP_MS: Final = 50
DEBOUNCE_MS: Final = 200
POLL_MS: Final = 300
APPEARS_S: Final = 0.5
# Of a change on a network file system, or behind a link, nobody is told.
LOOK_AGAIN_MS: Final = 5000


async def watch_folder(folder: Path, wake: Callable[[], None]) -> None:
    """Call `wake` at every change in the folder itself, and every few seconds; for ever.

    The folder may be missing, vanish and come back.
    """
    polling = False
    while True:
        wake()
        identity = await asyncio.to_thread(identity_of, folder)
        if identity is None:
            await asyncio.sleep(APPEARS_S)
            continue
        try:
            await _watch_one(folder, identity, wake, polling=polling)
        except FileNotFoundError:  # it vanished before the watch began
            continue
        except (OSError, RuntimeError) as error:  # no watch is left, or the file system has none
            if not polling:  # where even that fails, the waking below is all there is
                log.warning("model_folder_polled", folder=str(folder), reason=str(error))
            polling = True
            await asyncio.sleep(APPEARS_S)


def identity_of(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another under its name; `None` where there is none."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino) if folder.is_dir() else None


async def _watch_one(folder: Path, identity: tuple[int, int], wake: Callable[[], None], *, polling: bool) -> None:
    """Watch until there is another folder, or none, under the name: the system watches the folder, not the name."""
    changes = awatch(
        folder,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=LOOK_AGAIN_MS,
        yield_on_timeout=True,
        force_polling=polling or None,  # None leaves it to WATCHFILES_FORCE_POLLING
        poll_delay_ms=POLL_MS,
        recursive=False,
    )
    # The watch begins before the loop below first waits: what changed until then is seen by this call.
    asyncio.get_running_loop().call_soon(wake)
    async with contextlib.aclosing(changes):
        async for _ in changes:
            wake()
            if await asyncio.to_thread(identity_of, folder) != identity:
                return
