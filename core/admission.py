"""Admission: whose turn it is. A bounded queue, first in, first out."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage.core.errors import AdmissionTimeout, HoshikageError, QueueFull

if TYPE_CHECKING:
    from hoshikage.core.demand import Demand
    from hoshikage.core.residence import Residence
    from hoshikage.core.settings import AdmissionSettings
    from hoshikage.core.slots import Lease

TYPICAL_S = 5.0  # how long an answer takes, as long as none has been seen
WEIGHT_OF_LAST = 0.2


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queue."""

    demand: Demand
    turn: asyncio.Future[Lease] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Admission:
    """Lets requests in, one after another, as long as there is room for them.

    The head of the queue waits until its model may start; nobody overtakes it, so a model that is rarely asked
    for is never starved by one that always is. Fairness between callers is a later concern.
    """

    def __init__(self, settings: AdmissionSettings, residence: Residence) -> None:
        self._settings = settings
        self._residence = residence
        self._queue: deque[Ticket] = deque()
        self._typical_s = TYPICAL_S
        self.running = 0
        residence.call_on_change(self.dispatch)

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return len(self._queue)

    async def enter(self, demand: Demand) -> Lease:
        """Wait for the turn; the lease that comes with it must be given to `leave`.

        Raises:
            QueueFull: the queue has no place left.
            AdmissionTimeout: the turn did not come in time.
        """
        ticket = Ticket(demand)
        self._queue.append(ticket)
        self._let_in()
        if not ticket.turn.done() and len(self._queue) > self._settings.max_queued:
            self._queue.remove(ticket)
            raise QueueFull(
                f"{len(self._queue)} requests are waiting already, which is admission.max_queued; try again later",
                retry_after_s=self._expected_wait_s(),
            )
        self._load_next()
        if not ticket.turn.done():
            self._residence.prefetch(demand.record)
        try:
            # Not `wait_for`: on Python 3.11 it loses a cancellation that comes together with the turn.
            async with asyncio.timeout(self._settings.max_wait_s):
                return await asyncio.shield(ticket.turn)
        except TimeoutError:
            self._withdraw(ticket)
            raise AdmissionTimeout(
                f"the request waited {self._settings.max_wait_s:g} s for its turn (admission.max_wait_s) behind "
                f"{self.running} running ones; try again later",
                retry_after_s=self._expected_wait_s(),
            ) from None
        except asyncio.CancelledError:
            self._withdraw(ticket)
            raise

    def leave(self, lease: Lease, *, keep_alive_s: float | None, served_s: float) -> None:
        """End a turn after `served_s` seconds of service."""
        self._typical_s += WEIGHT_OF_LAST * (served_s - self._typical_s)
        self.running -= 1
        lease.release(keep_alive_s)
        self.dispatch()

    def dispatch(self) -> None:
        """Let in whoever may start now, and get ready for who is next; called whenever something has changed."""
        self._let_in()
        self._load_next()

    def _load_next(self) -> None:
        with contextlib.suppress(HoshikageError):  # of a model that no engine loads: it is told in its turn
            self._residence.load_ahead(self._queue[0].demand if self._queue else None)

    def _let_in(self) -> None:
        while self._queue and self.running < self._settings.max_running:
            head = self._queue[0]
            try:
                lease = self._residence.lease(head.demand)
            except HoshikageError as error:
                self._queue.popleft().turn.set_exception(error)
                continue
            if lease is None:
                return
            self._queue.popleft()
            self.running += 1
            head.turn.set_result(lease)

    def _withdraw(self, ticket: Ticket) -> None:
        """Take a ticket out; if its turn came at this very moment, give the turn back."""
        if ticket in self._queue:
            self._queue.remove(ticket)
            self.dispatch()
        elif ticket.turn.done() and ticket.turn.exception() is None:
            self.leave(ticket.turn.result(), keep_alive_s=None, served_s=self._typical_s)

    def _expected_wait_s(self) -> int:
        turns = (len(self._queue) + 1) / self._settings.max_running
        return max(1, math.ceil(turns * self._typical_s))
