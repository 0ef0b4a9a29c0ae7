from __future__ import annotations

import pytest

from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.durations import keep_alive_s


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0),
        (1800, 1800),
        (-1, -1),
        (2.5, 2.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("-1m", -60),
        ("+1m", 60),
        ("100ms", 0.1),
        ("0s", 0),
        ("300", 300),
        ("-1", -1),
        (" 10s ", 10),
        ("1000000000ns", 1),
        ("1µs", 1e-6),
    ],
)
def test_numbers_and_go_durations_are_seconds(given: float | str | None, seconds: float | None):
    """Numbers are seconds; texts are Go durations, or numbers that a client wrote as a text."""
    assert (None if seconds is None else pytest.approx(seconds)) == keep_alive_s(given)


@pytest.mark.parametrize("given", ["999999h", 1e300, "9" * 400, "9" * 400 + "h"])
def test_longer_than_thirty_years_is_for_ever(given: float | str):
    """Who writes such a number means for ever, and no calendar holds it."""
    assert keep_alive_s(given) == -1


@pytest.mark.parametrize("given", ["soon", "", "5 m", "m", "5x", "nan", "inf", "1e9", "1_0", "--1m", "５m", "5m?"])
def test_other_texts_are_refused(given: str):
    """A text that is no duration is named with its field."""
    with pytest.raises(InvalidRequest) as caught:
        keep_alive_s(given)

    assert "keep_alive" == caught.value.param
    assert repr(given) in caught.value.message
