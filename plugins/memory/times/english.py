"""English words that tell when: each pattern with what it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hoshikage.plugins.memory.times import calendars as c

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hoshikage.plugins.memory.times.calendars import Expression, Period

_COUNTS = "one two three four five six seven eight nine ten eleven twelve"
NUMBERS: Final = {name: n for n, name in enumerate(_COUNTS.split(), 1)} | {
    "a": 1,
    "an": 1,
    "a couple of": 2,
    "couple of": 2,
    "a few": 3,
    "few": 3,
    "several": 4,
}
MONTHS: Final = {
    name: n
    for n, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
            "september sept sep", "october oct", "november nov", "december dec",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
WEEKDAYS: Final = {
    name: n for n, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
}

# Without any of these, no pattern can fit; most texts are done with that.
HINT: Final = re.compile(
    r"\d[-/.]\d|\d(?:st|nd|rd|th)\b|\b(?:in|during|since)\s+(?:19|20)\d|"
    r"\b(?:ago|back|\w+day|\w*night|this [maenwys]\w+|weekend|weeks?|months?|years?|last|past|next|recently|lately|"
    rf"tomorrow|just now|these days|{'|'.join(MONTHS)}|{'|'.join(c.SEASONS)})\b"
)
_N = rf"(?P<n>\d{{1,3}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>second|minute|hour|day|week|month|year)s?"
_MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})\b\.?"
_WEEKDAY = rf"(?P<weekday>{'|'.join(WEEKDAYS)})"
_SEASON = rf"(?P<season>{'|'.join(c.SEASONS)})"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
_OF_YEAR = rf"(?:,?\s+(?:of\s+)?(?:{_YEAR}|(?P<of_year>last|this)\s+year\b))?"
_PART = r"(?P<part>morning|afternoon|evening|night)"
_WHICH = r"(?P<which>last|this|in|during|since|around|back in)"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"


def _number(found: re.Match[str]) -> int:
    text = found["n"]
    return int(text) if text.isdigit() else NUMBERS[text]


def _year(found: re.Match[str], now: datetime) -> int | None:
    if found["year"]:
        return int(found["year"])
    return {"last": now.year - 1, "this": now.year}.get(found["of_year"] or "")


def _last_season(found: re.Match[str], now: datetime) -> Period:
    """The last one that is over, if it is called the last one."""
    begin = c.SEASONS[found["season"]]
    year = _year(found, now)
    period = c.season(now, begin, year)
    if found["which"] == "last" and year is None and period[1] > now:
        return c.season(now, begin, period[0].year - 1)
    return period


def _last_month(found: re.Match[str], now: datetime) -> Period:
    year, number = _year(found, now), MONTHS[found["month"]]
    if found["which"] == "last" and year is None and number == now.month:
        year = now.year - 1
    return c.month_of(now, number, year)


def _weekday_of_week(found: re.Match[str], now: datetime) -> Period:
    begin = c.week(now, 1 if found["which"] == "last" else 0)[0] + WEEKDAYS[found["weekday"]] * c.DAY
    return begin, begin + c.DAY


def _this(found: re.Match[str], now: datetime) -> Period:
    back = {"last": 1, "past": 1, "previous": 1, "this": 0}[found["which"]]
    unit = found["unit"]
    if unit == "year":
        return c.year(now, now.year - back)
    if unit == "weekend":
        return c.weekend(now, back or now.weekday() < 5)  # before Saturday, the last one that was
    return c.week(now, back) if unit == "week" else c.month(now, back)


def _numeric(found: re.Match[str], now: datetime) -> Period | None:
    return c.date_of(now, int(found["day"]), int(found["month"]), int(found["year"]))


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])")


# Pattern, what it means, and how certain it is that it tells when. The first that fits at a place wins.
_EXPRESSIONS: Final[tuple[Expression, ...]] = (
    (_pattern(r"(?P<year>(?:19|20)\d\d)[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"), _numeric, 1.0),
    (
        _pattern(rf"(?:on\s+)?(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH}{_OF_YEAR}"),
        lambda m, now: c.date_of(now, int(m["day"]), MONTHS[m["month"]], _year(m, now)),
        0.9,
    ),
    (
        _pattern(rf"(?:on\s+)?{_MONTH}\s+(?:the\s+)?{_DAY}\b(?!:){_OF_YEAR}"),
        lambda m, now: c.date_of(now, int(m["day"]), MONTHS[m["month"]], _year(m, now)),
        0.9,
    ),
    (_pattern(r"(?:the\s+)?day before yesterday"), lambda _, now: c.day(now, 2), 1.0),
    (_pattern(rf"yesterday(?:\s+{_PART})?"), lambda m, now: c.day(now, 1, m["part"]), 1.0),
    (_pattern(r"last night"), lambda _, now: c.day(now, 1, "night"), 1.0),
    (_pattern(rf"this\s+{_PART}|(?P<tonight>tonight)"), lambda m, now: c.day(now, 0, m["part"] or "night"), 0.9),
    (_pattern(r"(?:earlier|so far) today"), lambda _, now: c.day(now), 1.0),
    (_pattern(r"today"), lambda _, now: c.day(now), 0.6),  # mostly it is now: "What's for lunch today?"
    (_pattern(r"(?:a few|a couple of|some) days ago"), lambda _, now: (c.day(now, 7)[0], c.day(now, 1)[1]), 0.9),
    (_pattern(rf"{_N}\s+{_UNIT}\s+(?:ago|back)"), lambda m, now: c.before(now, _number(m), m["unit"]), 1.0),
    (
        _pattern(rf"(?:(?:in|over|during|for|within)\s+)?(?:the\s+|these\s+)?(?:last|past)\s+{_N}\s+{_UNIT}"),
        lambda m, now: c.since(now, _number(m), m["unit"]),
        1.0,
    ),
    (_pattern(r"(?:the\s+)?week before last"), lambda _, now: c.week(now, 2), 1.0),
    (_pattern(r"(?:the\s+)?month before last"), lambda _, now: c.month(now, 2), 1.0),
    (_pattern(r"(?:the\s+)?year before last"), lambda _, now: c.year(now, now.year - 2), 1.0),
    (_pattern(rf"(?:on\s+)?{_WEEKDAY}\s+(?:of\s+)?(?P<which>last|this)\s+week"), _weekday_of_week, 1.0),
    (_pattern(r"(?:on|over|at)\s+the\s+weekend"), lambda _, now: c.weekend(now, now.weekday() < 5), 0.7),
    (_pattern(rf"next\s+{_WEEKDAY}"), lambda m, now: _later(c.weekday(now, WEEKDAYS[m["weekday"]])), 0.7),
    (
        _pattern(rf"(?:last|this past|past)\s+{_WEEKDAY}(?:\s+{_PART})?"),
        lambda m, now: _in_part(c.weekday(now, WEEKDAYS[m["weekday"]]), m["part"]),
        0.9,
    ),
    (
        _pattern(rf"(?:on\s+)?{_WEEKDAY}(?:\s+{_PART})?"),
        lambda m, now: _in_part(c.weekday(now, WEEKDAYS[m["weekday"]]), m["part"]),
        0.6,
    ),
    (
        _pattern(rf"{_WHICH}\s+(?:the\s+|early\s+|late\s+|mid-?\s*)?{_SEASON}{_OF_YEAR}"),
        _last_season,
        0.8,
    ),
    (
        _pattern(rf"{_WHICH}\s+(?:early\s+|late\s+|mid-?\s*)?{_MONTH}{_OF_YEAR}"),
        _last_month,
        0.8,
    ),
    (
        _pattern(
            rf"(?:between|from)\s+{_MONTH}\s+(?:and|to|until|till|through)\s+(?P<to>{'|'.join(MONTHS)}){_OF_YEAR}"
        ),
        lambda m, now: _months(MONTHS[m["month"]], MONTHS[m["to"]], _year(m, now), now),
        0.8,
    ),
    (_pattern(rf"(?P<which>){_MONTH},?\s+(?:of\s+)?{_YEAR}(?P<of_year>)"), _last_month, 0.9),
    (_pattern(r"(?P<which>last|past|previous|this)\s+(?P<unit>weekend|week|month|year)(?:'s)?"), _this, 0.9),
    (_pattern(rf"(?:in|during|since|back in)\s+{_YEAR}"), lambda m, now: c.year(now, int(m["year"])), 0.8),
    (
        _pattern(r"on the (?P<day>\d{1,2})(?:st|nd|rd|th)"),
        lambda m, now: (
            c.date_of(now, int(m["day"]), now.month)
            if int(m["day"]) <= now.day
            else c.date_of(now, int(m["day"]), c.month(now, 1)[0].month)
        ),
        0.7,
    ),
    (_pattern(r"just now|a moment ago|a while ago"), lambda _, now: c.since(now, 3, "hour"), 0.5),
    (_pattern(r"the other day"), lambda _, now: c.since(now, 14, "day"), 0.6),
    (_pattern(r"recently|lately|these days"), lambda _, now: c.since(now, 14, "day"), 0.2),
    (_pattern(r"(?:the\s+)?day after tomorrow"), lambda _, now: c.day(now, -2), 0.9),
    (_pattern(rf"tomorrow(?:\s+{_PART})?"), lambda m, now: c.day(now, -1, m["part"]), 0.9),
    (_pattern(r"next week(?:'s)?"), lambda _, now: c.week(now, -1), 0.8),
    (_pattern(r"next month(?:'s)?"), lambda _, now: c.month(now, -1), 0.8),
)


def expressions_for(text: str) -> Sequence[Expression]:
    """Those that may fit in a normalised text."""
    return _EXPRESSIONS if HINT.search(text) else ()


def _months(first: int, last: int, year: int | None, now: datetime) -> Period:
    """From a month to another one, which is in the next year where it comes earlier."""
    begin, end = c.month_of(now, first, year), c.month_of(now, last, year)
    if begin[0] > end[0]:
        begin = c.month_of(now, first, begin[0].year - 1)
    return begin[0], end[1]


def _in_part(period: Period, part: str | None) -> Period:
    return c.day(period[0], 0, part) if part else period


def _later(period: Period) -> Period:
    return period[0] + 7 * c.DAY, period[1] + 7 * c.DAY
