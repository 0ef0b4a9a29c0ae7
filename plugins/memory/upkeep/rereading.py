"""Reads memories from before again where the rules of reading have changed, while nobody waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.errors import HoshikageError, MemoryDamaged

if TYPE_CHECKING:
    from hoshikage.plugins.memory.embedding.work import Write

log = structlog.get_logger(__name__)

CLAIMS_AT_ONCE: Final = 100


class Rereading:
    """Brings memories from before in step with what this version knows of them. Its owner starts and stops it.

    Args:
        write: see there.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin where the last start was ended."""
        self._work = asyncio.create_task(self._read(), name="reading of old memories")

    async def stop(self) -> None:
        """End the work; what is missing is done after the next start. Idempotent."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._work = None

    async def _read(self) -> None:
        """Between two steps, others may write."""
        try:
            await self._write(lambda database: database.read_words())
            done = 1
            while done:
                done = await self._write(lambda database: database.read_claims(limit=CLAIMS_AT_ONCE))
        except MemoryDamaged:
            return  # the log says so already
        except HoshikageError as error:
            log.warning("old_memories_not_read", reason=str(error))
