"""Worker processes that are ready before their model is known: importing llama.cpp takes as long as a small load."""

from __future__ import annotations

import asyncio

import structlog

from hoshikage.plugins.engine_llamacpp.child import Child

log = structlog.get_logger(__name__)

LATEST_S = 5.0  # where a model is never idle


class Spares:
    """Hands out worker processes, and keeps some that wait.

    Args:
        count: how many wait; 0 starts each when it is needed.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: list[Child] = []
        self._refill: asyncio.Task[None] | None = None
        self._late: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def waiting(self) -> tuple[int, ...]:
        """The process ids of those that wait and live."""
        return tuple(child.pid for child in self._waiting if child.alive)

    async def take(self) -> Child:
        """A process without a model: one that waits, or else a new one.

        The next one is started when `refill` says that there is time for it, or else after a while.
        """
        self._refill_late()
        while self._waiting:
            child = self._waiting.pop()
            if child.alive:
                return child
            await child.close()
        return await Child.spawn()

    def refill(self) -> None:
        """Start what is missing; called when a model has nothing to do, and so the processors are free."""
        if not self._closed and self._count and (self._refill is None or self._refill.done()):
            self._refill = asyncio.create_task(self._fill(), name="spare workers")

    async def close(self) -> None:
        """End those that wait. Idempotent."""
        self._closed = True
        if self._late is not None:
            self._late.cancel()
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        waiting, self._waiting = self._waiting, []
        await asyncio.gather(*(child.close() for child in waiting))

    def _refill_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = asyncio.get_running_loop().call_later(LATEST_S, self.refill)

    async def _fill(self) -> None:
        while len(self._waiting) < self._count:
            try:
                self._waiting.append(await Child.spawn(patient=True))
            except OSError as error:
                log.warning("spare_worker_not_started", reason=str(error))
                return
