"""Which copies go: examples, and what holds for every case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.plugins.ramdisk.eviction import Candidate, Decision, Room, make_room

WIDE = 10**9


def room(limit: int = WIDE, used: int = 0, file_system: int = WIDE, memory: int = WIDE) -> Room:
    return Room(limit, used, file_system, memory)


def copies(*sizes: int, **more: set[int]) -> list[Candidate]:
    """Copies `0`, `1`, … of the given sizes, the first the least recently used."""
    pinned, held = more.get("pinned", set()), more.get("held", set())
    return [Candidate(str(i), size, (float(i), 0), i in pinned, i in held) for i, size in enumerate(sizes)]


def test_nobody_goes_where_there_is_room():
    """Where it fits, every copy stays."""
    assert Decision() == make_room(copies(50, 50), 100, room(limit=200, used=100))


def test_the_least_recently_used_goes():
    """The oldest goes first, whatever its place in the list."""
    assert ("0",) == make_room(list(reversed(copies(50, 50, 50))), 50, room(limit=150, used=150)).victims


def test_as_many_go_as_are_needed():
    """Copies go until it fits, in the order of their use."""
    assert ("0", "1") == make_room(copies(50, 50, 50), 80, room(limit=150, used=150)).victims


def test_nobody_goes_needlessly():
    """Where a large copy has to go anyway, the small one before it stays."""
    assert ("1",) == make_room(copies(10, 90), 90, room(limit=100, used=100)).victims


def test_pinned_and_held_stay():
    """What is pinned or held is passed over."""
    assert ("2",) == make_room(copies(50, 50, 50, pinned={0}, held={1}), 50, room(limit=150, used=150)).victims


def test_equal_times_go_by_rank():
    """Copies found at the start were all "used" then: the time on their markers decides."""
    found = [Candidate("late", 50, (7.0, 200)), Candidate("early", 50, (7.0, 100))]

    assert ("early",) == make_room(found, 50, room(limit=100, used=100)).victims


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"limit": 100, "used": 40}, ["ramdisk.size_gib", "100 bytes", "take 40"]),
        ({"file_system": 60}, ["the RAM disk has 60 bytes free"]),
        ({"memory": 60}, ["main memory has 60 bytes", "ramdisk.floor_gib"]),
        ({"memory": -5}, ["main memory has 0 bytes", "ramdisk.floor_gib"]),
    ],
)
def test_refusal_names_the_bound(bounds, words):
    """Without room, the reason says what was asked for, what is missing, and which bound it is."""
    refusal = make_room([], 90, room(**bounds)).refusal

    missing = 90 - room(**bounds).free_bytes
    assert all(word in refusal for word in (*words, "90 bytes are needed", f"{missing} are missing"))


def test_refusal_names_what_cannot_go():
    """What could go and what stays is named; nobody goes in vain."""
    decision = make_room(copies(30, 20, 10, pinned={1}, held={2}), 100, room(limit=60, used=60))

    assert () == decision.victims
    assert "70 are missing" in decision.refusal
    assert "30 could be freed" in decision.refusal
    assert "30 are pinned or in use" in decision.refusal


# --- every case ---

candidates = st.lists(
    st.builds(
        Candidate,
        key=st.uuids().map(str),
        size_bytes=st.integers(0, 100),
        last_used=st.tuples(st.floats(0, 10), st.integers(0, 3)),
        pinned=st.booleans(),
        held=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda c: c.key,
)
rooms = st.builds(Room, st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(-100, 500))


@settings(deadline=None)
@given(candidates, st.integers(0, 400), rooms)
def test_every_decision_holds(found: list[Candidate], wanted: int, bounds: Room):
    """It fits afterwards, with nobody gone who must stay or need not go; or it could not be done at all."""
    decision = make_room(found, wanted, bounds)

    by_key = {c.key: c for c in found}
    loose = [c for c in found if not c.pinned and not c.held]
    needed = wanted - bounds.free_bytes
    gone = [by_key[key] for key in decision.victims]
    if decision.refusal:
        assert not gone
        assert sum(c.size_bytes for c in loose) < needed
        return
    freed = sum(c.size_bytes for c in gone)
    assert freed >= needed
    assert all(c in loose for c in gone)
    assert all(freed - c.size_bytes < needed for c in gone)
    assert [c.last_used for c in gone] == sorted(c.last_used for c in gone)


@settings(deadline=None)
@given(candidates, st.integers(0, 400), rooms)
def test_the_more_recent_goes_only_for_its_size(found: list[Candidate], wanted: int, bounds: Room):
    """An older copy stays only where those that went would have been needed beside it."""
    decision = make_room(found, wanted, bounds)

    by_key = {c.key: c for c in found}
    gone = [by_key[key] for key in decision.victims]
    if gone:
        newest = max(gone, key=lambda c: c.last_used)
        older = [c for c in found if not c.pinned and not c.held and c.last_used < newest.last_used and c not in gone]
        others = sum(c.size_bytes for c in (*older, *gone)) - newest.size_bytes
        assert others < wanted - bounds.free_bytes
