"""The decision who may be loaded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.core.residency import Occupant, Room, make_room


def idle(key: str, last_used: float) -> Occupant:
    return Occupant(key, busy=False, last_used=last_used)


def busy(key: str, last_used: float = 0.0) -> Occupant:
    return Occupant(key, busy=True, last_used=last_used)


def leaving(key: str, last_used: float = 0.0) -> Occupant:
    return Occupant(key, busy=True, last_used=last_used, leaving=True)


@pytest.mark.parametrize(
    ("occupants", "max_loaded", "room"),
    [
        ([], 1, Room(True)),
        ([busy("w")], 1, Room(True)),
        ([leaving("w")], 1, Room(True)),
        ([busy("a")], 1, Room(False)),
        ([idle("a", 1)], 1, Room(False, ("a",))),
        ([leaving("a")], 1, Room(False)),
        ([idle("a", 1)], 2, Room(True)),
        ([idle("a", 2), idle("b", 1)], 2, Room(False, ("b",))),
        ([busy("a", 1), idle("b", 2)], 2, Room(False, ("b",))),
        ([leaving("a"), idle("b", 2)], 2, Room(False)),
        ([idle("a", 3), idle("b", 1), idle("c", 2)], 2, Room(False, ("b", "c"))),
        ([leaving("a"), idle("b", 1), idle("c", 2)], 2, Room(False, ("b",))),
    ],
)
def test_room_is_made(occupants: list[Occupant], max_loaded: int, room: Room):
    """Who is there may start; else idle models leave, the least recently used first, and no more than needed."""
    assert room == make_room("w", occupants, max_loaded)


# Keys are numbers in order of appearance; "0" is wanted and sometimes there already.
crowds = st.lists(st.tuples(st.sampled_from(["idle", "busy", "leaving"]), st.integers(0, 5)), max_size=8).flatmap(
    lambda rows: st.integers(0, 1).map(
        lambda first: [
            Occupant(str(n), busy=kind != "idle", last_used=used, leaving=kind == "leaving")
            for n, (kind, used) in enumerate(rows, first)
        ]
    )
)


@given(crowds, st.integers(1, 5))
def test_busy_models_stay(occupants: list[Occupant], max_loaded: int):
    """A busy model is never sent away."""
    room = make_room("0", occupants, max_loaded)

    assert set() == {o.key for o in occupants if o.busy} & set(room.evict)


@given(crowds, st.integers(1, 5))
def test_no_more_leave_than_needed(occupants: list[Occupant], max_loaded: int):
    """Together with those on their way out, exactly as many leave as needed, or all that may."""
    room = make_room("0", occupants, max_loaded)

    on_their_way = sum(o.leaving for o in occupants)
    needed = max(len(occupants) + 1 - max_loaded - on_their_way, 0)
    able = sum(not o.busy for o in occupants)
    present = any(o.key == "0" for o in occupants)
    assert (0 if present else min(needed, able)) == len(room.evict)


@given(crowds, st.integers(1, 5))
def test_longest_idle_leave_first(occupants: list[Occupant], max_loaded: int):
    """Nobody who stays idle was used before somebody who leaves."""
    room = make_room("0", occupants, max_loaded)

    left = [o.last_used for o in occupants if o.key in room.evict]
    stayed = [o.last_used for o in occupants if not o.busy and o.key not in room.evict]
    assert not left or not stayed or max(left) <= min(stayed)


@given(crowds, st.integers(1, 5))
def test_ready_if_it_fits(occupants: list[Occupant], max_loaded: int):
    """A model may start exactly if it is there already or one more fits."""
    room = make_room("0", occupants, max_loaded)

    assert (any(o.key == "0" for o in occupants) or len(occupants) < max_loaded) is room.ready
