"""The decision who may be loaded, and who leaves for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.core.residency import (
    Limits,
    Occupant,
    Room,
    Wanted,
    context_floor,
    context_step,
    fits_beside,
    make_room,
    suffices,
    value_of,
)

NOW = 100.0
W = Wanted("w")


def idle(key: str, last_used: float = 0.0, **fields) -> Occupant:
    return Occupant(key, busy=False, last_used=last_used, **fields)


def busy(key: str, last_used: float = 0.0, **fields) -> Occupant:
    return Occupant(key, busy=True, last_used=last_used, **fields)


def leaving(key: str, last_used: float = 0.0, **fields) -> Occupant:
    return Occupant(key, busy=False, last_used=last_used, leaving=True, **fields)


def places(count: int) -> Limits:
    return Limits(count, now=NOW)


def memory(ram: int | None = None, vram: int | None = None, *, max_loaded: int = 0) -> Limits:
    return Limits(max_loaded, ram, vram, NOW)


@pytest.mark.parametrize(
    ("occupants", "max_loaded", "room"),
    [
        ([], 1, Room(True)),
        ([busy("w")], 1, Room(True)),
        ([leaving("w")], 1, Room(True)),
        ([idle("w", counts=False)], 1, Room(True)),
        ([idle("w", counts=False), busy("a")], 1, Room(False)),
        ([idle("w", counts=False), idle("a")], 1, Room(True, ("a",))),
        ([busy("a")], 1, Room(False)),
        ([idle("a", 1)], 1, Room(True, ("a",))),
        ([leaving("a")], 1, Room(True)),
        ([leaving("w"), busy("a")], 1, Room(False)),
        ([leaving("w"), idle("a")], 1, Room(True, ("a",))),
        ([idle("a", 1)], 2, Room(True)),
        ([idle("a", 2), idle("b", 1)], 2, Room(True, ("b",))),
        ([busy("a", 1), idle("b", 2)], 2, Room(True, ("b",))),
        ([leaving("a"), idle("b", 2)], 2, Room(True)),
        ([busy("a"), busy("b")], 2, Room(False)),
        ([busy("a"), busy("b"), idle("c")], 2, Room(False, ("c",))),
        ([idle("a", 3), idle("b", 1), idle("c", 2)], 2, Room(True, ("b", "c"))),
        ([idle("a", pinned=True)], 1, Room(False)),
        ([idle("a", pinned=True), idle("b", 9)], 2, Room(True, ("b",))),
        ([idle("copy", counts=False)], 1, Room(True)),
        ([busy(str(n)) for n in range(50)], 0, Room(True)),
    ],
)
def test_places(occupants: list[Occupant], max_loaded: int, room: Room):
    """Who is there may start; else idle models leave, no more than needed, and the new one does not wait for them."""
    assert room == make_room(W, occupants, places(max_loaded))


@pytest.mark.parametrize(
    ("wanted", "occupants", "limits", "room"),
    [
        (5, [], memory(5), Room(True)),
        (6, [], memory(5), Room(False, missing_ram_bytes=1)),
        (6, [idle("a", ram_bytes=1)], memory(5), Room(False, ("a",))),
        (6, [leaving("a", ram_bytes=1)], memory(5), Room(False)),
        (6, [busy("a", ram_bytes=1)], memory(5), Room(False)),
        (8, [busy("a", ram_bytes=1), idle("b", ram_bytes=1)], memory(5), Room(False, missing_ram_bytes=1)),
        (7, [busy("a", ram_bytes=1), idle("b", ram_bytes=1)], memory(5), Room(False, ("b",))),
        (6, [leaving("w", ram_bytes=1)], memory(5), Room(False)),
        (6, [leaving("w", ram_bytes=1, pinned=True)], memory(5), Room(False)),
        (6, [idle("w", ram_bytes=1)], memory(5), Room(False, missing_ram_bytes=1)),
        (6, [idle("a", pinned=True, ram_bytes=9)], memory(5), Room(False, missing_ram_bytes=1)),
        (6, [idle("a", ram_bytes=0), idle("b", 5, ram_bytes=2)], memory(5), Room(False, ("b",))),
        (6, [idle("copy", 1, ram_bytes=2, counts=False), idle("b", 5, ram_bytes=2)], memory(5), Room(False, ("copy",))),
        (3, [idle("a", ram_bytes=4)], memory(5, max_loaded=1), Room(True, ("a",))),
        (7, [idle("a", ram_bytes=4)], memory(5, max_loaded=1), Room(False, ("a",))),
        (0, [busy("a", ram_bytes=4)], memory(0), Room(True)),
    ],
)
def test_main_memory(wanted: int, occupants: list[Occupant], limits: Limits, room: Room):
    """What does not fit beside the others waits until the idle have left; what never fits is refused with the bytes."""
    assert room == make_room(Wanted("w", ram_bytes=wanted), occupants, limits)


def test_gpu_memory_counts_by_itself():
    """A model may lack room on the cards and not in main memory; only who has some there leaves for it."""
    on_card, beside = idle("a", vram_bytes=4), idle("b", ram_bytes=4)
    wanted = Wanted("w", ram_bytes=1, vram_bytes=3)

    assert Room(False, ("a",)) == make_room(wanted, [beside, on_card], memory(10, 2))
    assert Room(False, missing_vram_bytes=1) == make_room(wanted, [beside], memory(10, 2))


@pytest.mark.parametrize(
    ("wanted", "limits", "fits"),
    [
        (Wanted("w", 5, 7), memory(5, 7), True),
        (Wanted("w", 6, 7), memory(5, 7), False),
        (Wanted("w", 5, 8), memory(5, 7), False),
        (Wanted("w", 5, 7), memory(), True),
        (Wanted("w"), memory(-1, -1), True),
    ],
)
def test_what_fits_beside_everybody(wanted: Wanted, limits: Limits, fits: bool):
    """There must be bytes in main memory and on the cards; the number of models does not matter."""
    assert fits == fits_beside(wanted, limits)


def test_growing_needs_no_place():
    """A loaded model that wants a longer context takes no further place, only the memory that is missing for it."""
    occupants = [idle("w", ram_bytes=10), idle("a", ram_bytes=5)]

    assert Room(True) == make_room(Wanted("w", ram_bytes=2), occupants, memory(2, max_loaded=2))
    assert Room(False, ("a",)) == make_room(Wanted("w", ram_bytes=4), occupants, memory(2, max_loaded=2))


def test_what_costs_most_to_bring_back_stays():
    """Of two models that were used at the same time, the one that loads faster leaves."""
    slow, fast = idle("slow", 50, reload_s=30), idle("fast", 50, reload_s=1)

    assert ("fast",) == make_room(W, [slow, fast], places(2)).evict


def test_what_was_long_idle_leaves_though_it_costs_more():
    """The cost is spread over the time that nobody asked."""
    slow, fast = idle("slow", 0, reload_s=2), idle("fast", NOW - 1, reload_s=1)

    assert ("slow",) == make_room(W, [slow, fast], places(2)).evict
    assert value_of(slow, NOW) < value_of(fast, NOW)


@pytest.mark.parametrize(
    ("wanted", "trained", "step"),
    [
        (0, 8192, 0),
        (1, 8192, 2048),
        (2048, 8192, 2048),
        (2049, 8192, 4096),
        (8192, 8192, 8192),
        (9000, 8192, 8192),
        (100, 512, 512),
        (5000, 0, 8192),
        (40_000, 131_072, 65_536),
    ],
)
def test_context_steps(wanted: int, trained: int, step: int):
    """Wishes are rounded up to a power of two from 2,048 on, and bounded by what the model was trained for."""
    assert step == context_step(wanted, trained)


# Keys are numbers in order of appearance; "0" is wanted and sometimes there already.
kinds = st.sampled_from(["idle", "busy", "leaving", "pinned", "copy", "ahead"])
crowds = st.lists(st.tuples(kinds, st.integers(0, 5), st.integers(0, 9)), max_size=8).flatmap(
    lambda rows: st.integers(0, 1).map(
        lambda first: [
            Occupant(
                str(n),
                busy=kind == "busy",
                last_used=used,
                ram_bytes=size,
                leaving=kind == "leaving",
                pinned=kind == "pinned",
                counts=kind not in ("copy", "ahead"),
            )
            for n, (kind, used, size) in enumerate(rows, first)
        ]
    )
)
needs = st.integers(0, 30)


@given(crowds, st.integers(0, 5), needs, needs)
def test_only_idle_ones_leave(occupants: list[Occupant], max_loaded: int, need: int, free: int):
    """Whoever is busy, pinned, wanted or on the way out is not sent away."""
    room = make_room(Wanted("0", need), occupants, memory(free, max_loaded=max_loaded))

    stay = {o.key for o in occupants if o.busy or o.pinned or o.leaving} | {"0"}
    assert set() == stay & set(room.evict)


@given(crowds, st.integers(1, 5))
def test_no_more_leave_than_places_ask_for(occupants: list[Occupant], max_loaded: int):
    """With memory for all, as many models leave as are too many, or all that may; who does not count stays."""
    room = make_room(Wanted("0"), occupants, places(max_loaded))

    others = [o for o in occupants if o.key != "0" and o.counts and not o.leaving]
    present = any(o.key == "0" and o.counts and not o.leaving for o in occupants)
    able = sum(not o.busy and not o.pinned for o in others)
    assert (0 if present else min(max(len(others) + 1 - max_loaded, 0), able)) == len(room.evict)


@given(crowds, st.integers(0, 5), needs, needs)
def test_no_one_leaves_in_vain(occupants: list[Occupant], max_loaded: int, need: int, free: int):
    """Without the last one who leaves, a place or memory would be missing."""
    limits = memory(free, max_loaded=max_loaded)
    room = make_room(Wanted("0", need), occupants, limits)
    if not room.evict:
        return
    going = [o for o in occupants if o.leaving or o.key in room.evict[:-1]]
    staying = sum(o.counts and not o.leaving and o.key not in (*room.evict[:-1], "0") for o in occupants)
    present = any(o.key == "0" and o.counts and not o.leaving for o in occupants)

    too_many = bool(max_loaded) and not present and staying + 1 > max_loaded
    assert too_many or need > free + sum(o.ram_bytes for o in going if o.key != "0" or o.leaving)


@given(crowds, st.integers(0, 5), needs, needs)
def test_ready_means_that_it_fits_now(occupants: list[Occupant], max_loaded: int, need: int, free: int):
    """A model starts only where memory suffices beside everybody, and the others are few enough once they have left."""
    room = make_room(Wanted("0", need), occupants, memory(free, max_loaded=max_loaded))
    staying = sum(o.counts and not o.leaving and o.key not in (*room.evict, "0") for o in occupants)
    present = any(o.key == "0" and o.counts and not o.leaving for o in occupants)

    assert not room.ready or need <= free or need == 0
    assert not room.ready or present or not max_loaded or staying < max_loaded


@given(crowds, needs, needs)
def test_missing_bytes_are_those_that_nobody_can_give(occupants: list[Occupant], need: int, free: int):
    """A refusal names what would be missing if all but pinned ones left."""
    room = make_room(Wanted("0", need), occupants, memory(free))

    most = free + sum(o.ram_bytes for o in occupants if not o.pinned and (o.key != "0" or o.leaving))
    assert (max(need - most, 0) if need else 0) == room.missing_ram_bytes


@pytest.mark.parametrize(
    ("wanted", "occupants", "limits", "enough"),
    [
        (6, [idle("a", ram_bytes=1), busy("b", ram_bytes=9)], memory(5), True),
        (7, [idle("a", ram_bytes=1), busy("b", ram_bytes=9)], memory(5), False),
        (7, [idle("a", ram_bytes=1), leaving("b", ram_bytes=9)], memory(5), True),
        (7, [leaving("w", ram_bytes=2), busy("b", ram_bytes=9)], memory(5), True),
        (0, [busy("b")], memory(max_loaded=1), False),
        (0, [busy("w")], memory(max_loaded=1), True),
        (0, [idle("a"), busy("b")], memory(max_loaded=2), True),
    ],
)
def test_whether_those_that_leave_suffice(wanted: int, occupants: list[Occupant], limits: Limits, enough: bool):
    """Somebody busy must end first only where the idle ones and those on the way out do not give enough."""
    want = Wanted("w", wanted)
    room = make_room(want, occupants, limits)

    assert enough is suffices(want, occupants, limits, leaving=room.evict)


@given(st.integers(0, 1 << 20))
def test_the_longest_step_that_fits(most: int):
    """It is a step, no longer than allowed, and the next one would be."""
    step = context_floor(most)

    assert step <= most
    assert 0 == step if most < 2048 else step == context_step(step, 0) and 2 * step > most
