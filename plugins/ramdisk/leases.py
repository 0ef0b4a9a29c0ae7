"""The time between a copy's hand-over and the first `hold` on it, in which it must not go either."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hoshikage.plugins.ramdisk.guards import Guards

LEASE_S: Final = 10.0


class Leases:
    """Guards that end by themselves; lives in the event loop."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def lease(self, key: str) -> None:
        """Take over one guard that the caller has taken."""
        self.end(key)  # the earlier lease's guard; this one's is there already
        self._timers[key] = asyncio.get_running_loop().call_later(LEASE_S, self.end, key)

    def end(self, key: str) -> None:
        """Give up the guard, if there is one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
            self._guards.drop(key)

    def clear(self) -> None:
        """Give up all."""
        for key in tuple(self._timers):
            self.end(key)
