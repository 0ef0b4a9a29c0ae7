"""What the owner of a model's slot does next: a pure decision over the situation of the slot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NEVER = float("inf")


class SlotState(StrEnum):
    """empty ▸ loading ▸ ready ▸ closing ▸ empty."""

    EMPTY = "empty"
    LOADING = "loading"
    READY = "ready"
    CLOSING = "closing"


class Action(StrEnum):
    """What the owner does next."""

    LOAD = "load"
    CLOSE = "close"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the owner's next action depends on.

    Attributes:
        waiters: requests that wait for the model to be ready.
        leases: requests that hold the slot.
        unload_at: when it is to be unloaded if it is idle, on the monotonic clock, because somebody asked.
        dead: the loaded model has said that it can answer no more.
        expires_at: when an idle model is to go, on the monotonic clock.
        ahead: it is to be loaded before a request holds it.
    """

    state: SlotState
    waiters: int
    leases: int
    unload_at: float
    dead: bool
    expires_at: float
    now: float
    ahead: bool = False


def next_action(s: Situation) -> Action:
    """Decide what the owner of a slot does next."""
    if s.state is SlotState.EMPTY:
        return Action.LOAD if s.waiters or s.ahead else Action.WAIT
    if s.dead:
        return Action.CLOSE
    if s.leases == 0 and s.now >= min(s.unload_at, s.expires_at):
        return Action.CLOSE
    return Action.WAIT
