"""Which days a question means: 「先週」, 「去年の夏」, 「三月に」."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

Period = tuple[date, date]  # the first and the last day

_DIGITS: Final = "〇一二三四五六七八九"
_SEASONS: Final = {"春": 3, "夏": 6, "秋": 9, "冬": 12}
# Days of the year whose name says when they are: month and day of the first and the last.
_FEASTS: Final = {
    "お盆": ((8, 10), (8, 18)),
    "ゴールデンウィーク": ((4, 27), (5, 8)),
    "クリスマス": ((12, 20), (12, 27)),
    "年末": ((12, 20), (12, 31)),
    "正月": ((1, 1), (1, 12)),
    "梅雨": ((6, 5), (7, 20)),
}


def period(text: str, today: date) -> Period | None:
    """The days that the first known expression of time means, seen from today; `None` where there is none."""
    for pattern, days in _READINGS:
        if match := pattern.search(text):
            return days(match, today)
    return None


def _ago(count: int) -> Callable[[re.Match[str], date], Period]:
    def days(_: re.Match[str], today: date) -> Period:
        day = today - timedelta(days=count)
        return day, day

    return days


def _days_ago(match: re.Match[str], today: date) -> Period:
    return _ago(_number(match[1]))(match, today)


def _week(ago: int) -> Callable[[re.Match[str], date], Period]:
    def days(_: re.Match[str], today: date) -> Period:
        monday = today - timedelta(days=today.weekday() + 7 * ago)
        return monday, monday + timedelta(days=6)

    return days


def _month(ago: int) -> Callable[[re.Match[str], date], Period]:
    def days(_: re.Match[str], today: date) -> Period:
        months = today.year * 12 + today.month - 1 - ago
        return _months(months // 12, months % 12 + 1, 1)

    return days


def _last_year_month(match: re.Match[str], today: date) -> Period:
    return _months(today.year - 1, _number(match[1]), 1)


def _named_month(match: re.Match[str], today: date) -> Period:
    month = _number(match[1])
    return _months(today.year - (month > today.month), month, 1)


def _last_year_season(match: re.Match[str], today: date) -> Period:
    return _months(today.year - 1, _SEASONS[match[1]], 3)


def _season(match: re.Match[str], today: date) -> Period:
    first, last = _months(today.year, _SEASONS[match[1]], 3)
    return (first, last) if first <= today else _months(today.year - 1, _SEASONS[match[1]], 3)


def _feast(match: re.Match[str], today: date) -> Period:
    first, last = _FEASTS[match[1]]
    year = today.year - (date(today.year, *first) > today)
    return date(year, *first), date(year, *last)


def _months(year: int, month: int, count: int) -> Period:
    after = year * 12 + month - 1 + count
    return date(year, month, 1), date(after // 12, after % 12 + 1, 1) - timedelta(days=1)


def _number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    tens, ten, ones = text.rpartition("十")
    return (_DIGITS.index(tens) if tens else 1 if ten else 0) * 10 + (_DIGITS.index(ones) if ones else 0)


_N: Final = r"(\d+|[一二三四五六七八九十]+)"
_READINGS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], Period]], ...]] = (
    (re.compile("一昨日|おととい"), _ago(2)),
    (re.compile("昨日|きのう|[Yy]esterday"), _ago(1)),
    (re.compile(_N + "日前"), _days_ago),
    (re.compile("先々週|先先週"), _week(2)),
    (re.compile("先週|[Ll]ast week"), _week(1)),
    (re.compile("今週|[Tt]his week"), _week(0)),
    (re.compile("先々月"), _month(2)),
    (re.compile("先月|[Ll]ast month"), _month(1)),
    (re.compile("今月|[Tt]his month"), _month(0)),
    (re.compile("(?:去年|昨年)の" + _N + "月"), _last_year_month),
    (re.compile("(?:去年|昨年)の([春夏秋冬])"), _last_year_season),
    (re.compile("(?:この|今年の|前の)([春夏秋冬])"), _season),
    (re.compile(f"({'|'.join(_FEASTS)})"), _feast),
    (re.compile(_N + "月"), _named_month),
)
