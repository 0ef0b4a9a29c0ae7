"""Worker processes that are ready before their model is known: importing llama.cpp takes as long as a small load."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from hoshikage.plugins.engine_llamacpp.child import Child

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

REFILL_DELAY_S = 1.0  # a model that was just loaded has the processors to itself


class Spares:
    """Hands out worker processes, and keeps some that wait.

    Args:
        count: how many wait; 0 starts each when it is needed.
        wanted: whether they may wait now; asked when one would be started.
    """

    def __init__(self, count: int, *, wanted: Callable[[], bool] = lambda: True) -> None:
        self._count = count
        self._wanted = wanted
        self._waiting: list[Child] = []
        self._refill: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> tuple[int, ...]:
        """The process ids of those that wait and live."""
        return tuple(child.pid for child in self._waiting if child.alive)

    async def take(self) -> Child:
        """A process without a model: one that waits, or else a new one."""
        while self._waiting:
            child = self._waiting.pop()
            if child.alive:
                self._refill_later()
                return child
            await child.close()
        child = await Child.spawn()
        self._refill_later()
        return child

    async def close(self) -> None:
        """End those that wait. Idempotent."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        waiting, self._waiting = self._waiting, []
        await asyncio.gather(*(child.close() for child in waiting))

    def _refill_later(self) -> None:
        if not self._closed and self._count and (self._refill is None or self._refill.done()):
            self._refill = asyncio.create_task(self._fill(), name="spare workers")

    async def _fill(self) -> None:
        await asyncio.sleep(REFILL_DELAY_S)
        while len(self._waiting) < self._count and self._wanted():
            try:
                self._waiting.append(await Child.spawn())
            except OSError as error:
                log.warning("spare_worker_not_started", reason=str(error))
                return
