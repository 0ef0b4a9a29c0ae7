"""What the past says of the next load."""

from __future__ import annotations

import pytest

from hoshikage.core.swap_log import LEAST_SEEN, SwapLog


def log_of(loads: str) -> SwapLog:
    log = SwapLog()
    for key in loads:
        log.note(key)
    return log


def test_nothing_is_likely_at_first():
    """Without a past there is no guess."""
    assert None is SwapLog().likely_next("a")


@pytest.mark.parametrize(
    ("loads", "likely"),
    [
        ("a", None),
        ("abab", None),
        ("ababab", "b"),
        ("abacab", "b"),
        ("abacad", None),
        ("abacabac", "b"),  # half of the times is enough
        ("aaaa", None),
        ("aabaabaab", "b"),
        ("bababa", None),  # b came after a only twice
    ],
)
def test_likely_next_after_a(loads: str, likely: str | None):
    """What followed in at least half of at least three cases is likely; the same model again is no swap."""
    assert likely == log_of(loads).likely_next("a")


def test_each_model_has_its_own_followers():
    """In a round of three, each is followed by its neighbour."""
    log = log_of("abc" * LEAST_SEEN + "a")

    assert ["b", "c", "a"] == [log.likely_next(key) for key in "abc"]
