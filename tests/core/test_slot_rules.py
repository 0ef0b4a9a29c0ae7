"""What the owner of a slot decides to do next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoshikage.core.slot_rules import NEVER, Action, Situation, SlotState, next_action

READY = Situation(SlotState.READY, waiters=0, leases=0, unload_at=NEVER, dead=False, expires_at=NEVER, now=10.0)
EMPTY = replace(READY, state=SlotState.EMPTY)


@pytest.mark.parametrize(
    ("situation", "action"),
    [
        (EMPTY, Action.WAIT),
        (replace(EMPTY, waiters=1), Action.LOAD),
        (replace(EMPTY, waiters=3, leases=3), Action.LOAD),
        (replace(EMPTY, leases=1), Action.WAIT),
        (replace(EMPTY, ahead=True), Action.LOAD),
        (replace(EMPTY, unload_at=0.0), Action.WAIT),
        (replace(EMPTY, expires_at=5.0), Action.WAIT),
        (replace(EMPTY, waiters=1, unload_at=0.0), Action.LOAD),
        (READY, Action.WAIT),
        (replace(READY, leases=1), Action.WAIT),
        (replace(READY, ahead=True), Action.WAIT),
        (replace(READY, expires_at=10.1), Action.WAIT),
        (replace(READY, expires_at=10.0), Action.CLOSE),
        (replace(READY, expires_at=9.0), Action.CLOSE),
        (replace(READY, expires_at=9.0, leases=1), Action.WAIT),
        (replace(READY, unload_at=0.0), Action.CLOSE),
        (replace(READY, unload_at=10.0), Action.CLOSE),
        (replace(READY, unload_at=10.1), Action.WAIT),
        (replace(READY, unload_at=10.1, expires_at=10.0), Action.CLOSE),
        (replace(READY, unload_at=0.0, leases=1), Action.WAIT),
        (replace(READY, dead=True), Action.CLOSE),
        (replace(READY, dead=True, leases=2, waiters=1), Action.CLOSE),
    ],
)
def test_next_action(situation: Situation, action: Action):
    """The owner loads for waiters or ahead of them, closes what is dead, long idle or asked to go, and else waits."""
    assert action == next_action(situation)
