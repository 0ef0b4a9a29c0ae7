from __future__ import annotations

from typing import Any

import pytest

from hoshikage.plugins.routes_openai.durations import keep_alive_s
from tests.plugins.routes_openai.made import refusal


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0),
        (1.5, 1.5),
        (-1, -1),
        ("300", 300),
        ("-1", -1),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        (" 10s ", 10),
        ("-1m", -60),
        ("0", 0),
    ],
)
def test_durations_are_read(value: Any, seconds: float | None):
    """Seconds may be a number or a text; units add up; a sign holds for the whole."""
    assert seconds == keep_alive_s(value)


@pytest.mark.parametrize(
    "value", ["", "soon", "5 minutes", "m", "1m-", "--1", "５m", "nan", "inf", "9" * 400, 1e300, "1e5"]
)
def test_what_is_no_duration_is_refused(value: Any):
    """A text without a meaning, and a time beyond every calendar, name the field."""
    assert "keep_alive" == refusal(keep_alive_s, value).param
