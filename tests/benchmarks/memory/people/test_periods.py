"""Which days an expression of time means."""

from __future__ import annotations

from datetime import date

import pytest

from benchmarks.memory.people.periods import period

WEDNESDAY = date(2026, 2, 18)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("昨日は？", date(2026, 2, 17), date(2026, 2, 17)),
        ("Yesterday、何を見た？", date(2026, 2, 17), date(2026, 2, 17)),
        ("おとといの夜", date(2026, 2, 16), date(2026, 2, 16)),
        ("三日前に", date(2026, 2, 15), date(2026, 2, 15)),
        ("12日前", date(2026, 2, 6), date(2026, 2, 6)),
        ("今週", date(2026, 2, 16), date(2026, 2, 22)),
        ("先週の店", date(2026, 2, 9), date(2026, 2, 15)),
        ("先々週", date(2026, 2, 2), date(2026, 2, 8)),
        ("今月", date(2026, 2, 1), date(2026, 2, 28)),
        ("先月", date(2026, 1, 1), date(2026, 1, 31)),
        ("先々月", date(2025, 12, 1), date(2025, 12, 31)),
        ("1月に", date(2026, 1, 1), date(2026, 1, 31)),
        ("十一月に", date(2025, 11, 1), date(2025, 11, 30)),
        ("去年の2月に", date(2025, 2, 1), date(2025, 2, 28)),
        ("昨年の夏", date(2025, 6, 1), date(2025, 8, 31)),
        ("去年の冬", date(2025, 12, 1), date(2026, 2, 28)),
        ("この冬", date(2025, 12, 1), date(2026, 2, 28)),
        ("お盆に", date(2025, 8, 10), date(2025, 8, 18)),
        ("お正月", date(2026, 1, 1), date(2026, 1, 12)),
        ("年末の会", date(2025, 12, 20), date(2025, 12, 31)),
    ],
)
def test_an_expression_of_time_means_days(text: str, first: date, last: date):
    """Seen from a Wednesday in February; weeks begin on Monday, and the last day belongs to them."""
    assert (first, last) == period(text, WEDNESDAY)


def test_a_text_without_time_means_no_days():
    """What names no time is not asked at one."""
    assert period("犬の名前は？", WEDNESDAY) is None
