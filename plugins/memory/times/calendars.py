"""Days, weeks, months, seasons and years around a moment, as pairs of their begin and their end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

Period = tuple[datetime, datetime]
# A pattern of words, what they mean as said at a moment, and how certain it is that they tell when.
Expression = tuple[re.Pattern[str], Callable[[re.Match[str], datetime], Period | None], float]

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
SEASONS_JA: Final = {"春": 3, "夏": 6, "秋": 9, "冬": 12}
# Hours from the midnight of the day; a night ends on the next one.
PARTS: Final = {
    "morning": (4, 12), "afternoon": (12, 18), "evening": (17, 24), "night": (18, 30),
    "朝": (4, 12), "午前": (0, 12), "昼": (11, 15), "午後": (12, 24), "夕方": (15, 20), "夜": (18, 30), "晩": (18, 30),
}  # fmt: skip


def day(now: datetime, back: int = 0, part: str | None = None) -> Period:
    """The day so many days before, or a part of it."""
    begin = midnight(now) - back * DAY
    hours = PARTS.get(part or "", (0, 24))
    return begin + hours[0] * HOUR, begin + hours[1] * HOUR


def week(now: datetime, back: int = 0) -> Period:
    """The week so many weeks before; it begins on Monday."""
    begin = midnight(now) - (now.weekday() + 7 * back) * DAY
    return begin, begin + 7 * DAY


def weekend(now: datetime, back: int = 0) -> Period:
    """Saturday and Sunday of the week so many weeks before."""
    begin, end = week(now, back)
    return begin + 5 * DAY, end


def weekday(now: datetime, number: int) -> Period:
    """The last day before today that is so many days after a Monday."""
    return day(now, (now.weekday() - number - 1) % 7 + 1)


def month(now: datetime, back: int = 0) -> Period:
    """The month so many months before."""
    return _first(now, now.year, now.month - back), _first(now, now.year, now.month - back + 1)


def month_of(now: datetime, number: int, year: int | None = None) -> Period:
    """A month by its number, of a year or else the last one that has begun."""
    year = year or now.year - (number > now.month)
    return _first(now, year, number), _first(now, year, number + 1)


def date_of(now: datetime, number: int, in_month: int, year: int | None = None) -> Period | None:
    """A day by its date, of a year or else the last one that was; `None` where the calendar has no such day."""
    for candidate in [year] if year else range(now.year, now.year - 5, -1):
        try:
            found = date(candidate, in_month, number)
        except ValueError:
            continue
        if year or found <= now.date():
            begin = datetime(found.year, found.month, found.day, tzinfo=now.tzinfo)
            return begin, begin + DAY
    return None


def season(now: datetime, begins_in: int, year: int | None = None) -> Period:
    """A season of the northern half of the earth, of a year or else the last one that has begun."""
    year = year or now.year - (begins_in > now.month)
    return _first(now, year, begins_in), _first(now, year, begins_in + 3)


def year(now: datetime, number: int) -> Period:
    """A year."""
    return _first(now, number, 1), _first(now, number + 1, 1)


def before(now: datetime, count: float, unit: str) -> Period:
    """What "so many of the unit ago" means: the farther, the wider."""
    if unit == "day":
        return day(now, round(count))
    if unit in {"second", "minute", "hour"}:
        length = count * {"second": HOUR / 3600, "minute": HOUR / 60, "hour": HOUR}[unit]
        return now - 1.5 * length, now - 0.5 * length
    length = count * {"week": 7, "month": 30.44, "year": 365.25}[unit] * DAY
    around = max(3 * DAY, length / 5)
    return midnight(now) - length - around, midnight(now) - length + around + DAY


def since(now: datetime, count: float, unit: str) -> Period:
    """From so many of the unit ago until now."""
    lengths = {"second": HOUR / 3600, "minute": HOUR / 60, "hour": HOUR, "day": DAY, "week": 7 * DAY}
    length = count * (lengths.get(unit) or {"month": 30.44, "year": 365.25}[unit] * DAY)
    begin = now - length
    return (begin if length < DAY else midnight(begin)), now


def midnight(now: datetime) -> datetime:
    """Where the day of a moment began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _first(now: datetime, in_year: int, in_month: int) -> datetime:
    """The first day of a month, counted on over the ends of years."""
    years, months = divmod(in_month - 1, 12)
    return datetime(in_year + years, months + 1, 1, tzinfo=now.tzinfo)
