"""Japanese words that tell when: each pattern with what it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hoshikage.plugins.memory.times import calendars as c

if TYPE_CHECKING:
    from datetime import datetime

    from hoshikage.plugins.memory.times.calendars import Expression, Period

DIGITS: Final = {char: n for n, char in enumerate("〇一二三四五六七八九")}
UNITS: Final = {"秒": "second", "分": "minute", "時間": "hour", "日": "day", "週": "week", "月": "month", "年": "year"}
ERAS: Final = {"令和": 2018, "平成": 1988, "昭和": 1925}
YEARS_BACK: Final = {"今年": 0, "本年": 0, "去年": 1, "昨年": 1, "一昨年": 2, "おととし": 2}
WEEKS_BACK: Final = {"今週": 0, "先週": 1, "先々週": 2, "先先週": 2, "前の週": 1, "来週": -1}
MONTHS_BACK: Final = {"今月": 0, "先月": 1, "先々月": 2, "先先月": 2, "来月": -1}
DAYS_BACK: Final = {
    "昨日": 1, "きのう": 1, "一昨日": 2, "おととい": 2, "一昨昨日": 3, "さきおととい": 3,
    "明日": -1, "あした": -1, "明後日": -2, "あさって": -2,
}  # fmt: skip
WEEKDAYS: Final = "月火水木金土日"

# Without any of these, no pattern can fit.
HINT: Final = re.compile(
    "[日月年週曜朝夜晩末春夏秋冬前今昨去先明々近頃/秒]|きのう|きょう|けさ|ゆうべ|おとと|さき|あした|あさって|こないだ|この|さっき"
)
_N = "(?:[0-9]{1,4}|[〇一二三四五六七八九十百]{1,5})"
_MONTHS = "(?:か月|ヶ月|ヵ月|カ月|ケ月|箇月|ヶ月間)"
_UNIT = f"(?P<unit>秒|分|時間|日|週|{_MONTHS}|年)間?"
_PART = "(?:の?(?P<part>朝|午前中?|昼|午後|夕方|夜|晩))?"
_WEEKDAY = "(?P<weekday>[月火水木金土日])曜日?"
_SEASON = "(?P<season>[春夏秋冬])"
_YEARS_BACK = "|".join(sorted(YEARS_BACK, key=len, reverse=True))
_ERAS = "|".join(ERAS)
_YEARS = f"(?P<year>{_YEARS_BACK}|(?:{_ERAS})?{_N}年|(?:{_ERAS})元年)"
_ABOUT = "(?:ほど|くらい|ぐらい)?"
_DIGIT = "[1-9一二三四五六七八九]"
THIRDS: Final = {"上旬": (0, 10), "初め": (0, 10), "中旬": (10, 20), "下旬": (20, 31), "末": (20, 31)}
_THIRD = f"(?P<third>{'|'.join(THIRDS)})"


def number_of(text: str) -> int:
    """A number in digits or in ideographs: 12, 十二, 一二."""
    if text.isdecimal():
        return int(text)
    total, last = 0, None
    for char in text:
        if char in "十百":
            total += (1 if last is None else last) * {"十": 10, "百": 100}[char]
            last = None
        else:
            last = DIGITS[char] + (10 * last if last is not None else 0)
    return total + (last or 0)


def _year(found: re.Match[str], now: datetime) -> int | None:
    text = found["year"]
    if not text:
        return None
    if text in YEARS_BACK:
        return now.year - YEARS_BACK[text]
    era = next((begin for name, begin in ERAS.items() if text.startswith(name)), 0)
    count = text.removesuffix("年")[2 if era else 0 :]
    return era + (1 if count == "元" else number_of(count))


def _whole_year(found: re.Match[str], now: datetime) -> Period | None:
    year = _year(found, now)
    return c.year(now, year) if year is not None and 1900 <= year <= 2200 else None  # 「三年」 is a length


def _ago(found: re.Match[str], now: datetime) -> Period:
    return c.before(now, number_of(found["n"]), _unit(found))


def _since(found: re.Match[str], now: datetime) -> Period:
    return c.since(now, number_of(found["n"]), _unit(found))


def _unit(found: re.Match[str]) -> str:
    return UNITS[found["unit"] if found["unit"] in UNITS else "月"]


def _two_numbers_ago(found: re.Match[str], now: datetime) -> Period:
    near, far = (c.before(now, number_of(found[name]), _unit(found)) for name in ("m", "n"))
    return min(near[0], far[0]), max(near[1], far[1])


def _weekday(found: re.Match[str], now: datetime) -> Period:
    number = WEEKDAYS.index(found["weekday"])
    begin = c.week(now, WEEKS_BACK[found["week"]])[0] + number * c.DAY
    return c.day(begin, 0, found["part"])


def _last_weekday(found: re.Match[str], now: datetime) -> Period:
    return c.day(c.weekday(now, WEEKDAYS.index(found["weekday"]))[0], 0, found["part"])


def _date(found: re.Match[str], now: datetime) -> Period | None:
    month, day = number_of(found["month"]), number_of(found["day"])
    return c.date_of(now, day, month, _year(found, now)) if 1 <= month <= 12 else None


def _month(found: re.Match[str], now: datetime) -> Period | None:
    month = number_of(found["month"])
    if not 1 <= month <= 12:
        return None
    begin, end = c.month_of(now, month, _year(found, now))
    days = THIRDS.get(found["third"] or "")
    return (begin + days[0] * c.DAY, min(end, begin + days[1] * c.DAY)) if days else (begin, end)


def _day_of_month(found: re.Match[str], now: datetime) -> Period | None:
    number = number_of(found["day"])
    back = MONTHS_BACK[found["which"]] if found["which"] else int(number > now.day)
    month = c.month(now, back)[0]
    return c.date_of(now, number, month.month, month.year)


def _numeric(found: re.Match[str], now: datetime) -> Period | None:
    year = int(found["year"]) if found["year"] else None
    return c.date_of(now, int(found["day"]), int(found["month"]), year)


def _season(found: re.Match[str], now: datetime) -> Period:
    return c.season(now, c.SEASONS_JA[found["season"]], _year(found, now))


def _names(names: dict[str, int]) -> str:
    return f"(?P<which>{'|'.join(sorted(names, key=len, reverse=True))})"


def _day_back(found: re.Match[str], now: datetime) -> Period:
    return c.day(now, DAYS_BACK[found["which"]], found["part"])


def _half_ago(found: re.Match[str], now: datetime) -> Period:
    return c.before(now, 6 if found["what"] == "年" else 0.5, "month")


# Characters, one of which is in all that fits, if they are given: most patterns are not even tried in most texts. Then
# the pattern, what it means, and how certain it is that it tells when. The first that fits at a place wins.
_EXPRESSIONS: Final[tuple[tuple[str, Expression], ...]] = tuple(
    (needs, (re.compile(pattern), meaning, certainty))
    for needs, pattern, meaning, certainty in (
        # What comes again and again, and what is still to come, tells nothing of what was said.
        ("月曜", f"(?:毎週の?|次の|今度の){_WEEKDAY}|毎年の?{_N}月", lambda _, __: None, 0.0),
        ("月", f"(?:{_YEARS}の?)?(?P<month>{_N})月の?(?P<day>{_N})日", _date, 0.9),
        ("月", f"(?:{_YEARS}の?)?(?P<month>{_N})月(?!間|曜)の?{_THIRD}?(?:頃|ごろ)?に?", _month, 0.8),
        ("春夏秋冬", f"{_YEARS}の?{_SEASON}(?!巻)に?", _season, 0.9),
        ("春夏秋冬", f"(?:この|前の){_SEASON}(?P<year>)に?", _season, 0.8),
        ("春夏秋冬", f"(?<![一-鿿]){_SEASON}(?P<year>)(?:頃|ごろ|休み)?(?:に|の)", _season, 0.5),
        ("前", f"(?P<m>{_DIGIT})[、,・]?(?P<n>{_DIGIT}){_UNIT}{_ABOUT}前", _two_numbers_ago, 0.9),
        ("前", f"(?P<n>{_N}){_UNIT}{_ABOUT}前", _ago, 1.0),
        ("前", "数日前", lambda _, now: (c.day(now, 7)[0], c.day(now, 1)[1]), 0.9),
        ("前", "数週間前", lambda _, now: (c.day(now, 49)[0], c.day(now, 12)[1]), 0.9),
        ("前", "数(?:か月|ヶ月|ヵ月|カ月|ケ月)前", lambda _, now: (c.month(now, 6)[0], c.month(now, 2)[1]), 0.9),
        ("前", f"半(?P<what>年|月){_ABOUT}前", _half_ago, 0.9),
        ("こ過直", f"(?:ここ|過去|この|直近の?)(?P<n>{_N}){_UNIT}", _since, 0.9),
        ("週", f"(?P<week>{'|'.join(WEEKS_BACK)})の?{_WEEKDAY}{_PART}", _weekday, 1.0),
        ("末", "(?P<week>先々週|先週|今週|この|前の)の?週?末", lambda m, now: _weekend(m["week"], now), 0.9),
        ("週", f"{_names(WEEKS_BACK)}", lambda m, now: c.week(now, WEEKS_BACK[m["which"]]), 0.9),
        ("月", f"{_names(MONTHS_BACK)}の?(?P<day>{_N})日", _day_of_month, 1.0),
        ("月", f"{_names(MONTHS_BACK)}", lambda m, now: c.month(now, MONTHS_BACK[m["which"]]), 0.9),
        ("曜", f"(?:この前|この間|こないだ|先日|前|先)の{_WEEKDAY}{_PART}", _last_weekday, 0.9),
        ("曜", f"(?<![一-鿿]){_WEEKDAY}{_PART}", _last_weekday, 0.6),
        ("年お", f"(?<![一-鿿])(?P<year>{_YEARS_BACK})", _whole_year, 0.9),
        ("年", f"(?P<year>(?:{_ERAS})(?:{_N}|元)年|[0-9]{{4}}年)", _whole_year, 0.8),
        ("日きおさあ", f"(?<![一-鿿]){_names(DAYS_BACK)}{_PART}", _day_back, 0.9),
        ("", "今日|きょう|本日", lambda _, now: c.day(now), 0.6),
        ("", "今朝|けさ", lambda _, now: c.day(now, 0, "朝"), 0.9),
        ("", "今夜|今晩", lambda _, now: c.day(now, 0, "夜"), 0.8),
        ("", "昨夜|昨晩|ゆうべ|夕べ", lambda _, now: c.day(now, 1, "夜"), 1.0),
        ("/", "(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})", _numeric, 1.0),
        ("/", "(?<![0-9/.])(?P<year>)(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})(?=[にのはで])", _numeric, 0.7),
        ("日", f"(?<![0-9一-鿿])(?P<which>)(?P<day>{_N})日(?=[にの])", _day_of_month, 0.7),
        ("", "さっき|先ほど|先程|たった今", lambda _, now: c.since(now, 3, "hour"), 0.8),
        ("", "この前|この間|このあいだ|こないだ|先日", lambda _, now: c.since(now, 14, "day"), 0.6),
        ("", "最近|近頃|このごろ|この頃", lambda _, now: c.since(now, 14, "day"), 0.2),
    )
)  # fmt: skip


def expressions_for(text: str) -> list[Expression]:
    """Those that may fit in a normalised text."""
    if not HINT.search(text):
        return []
    return [expression for needs, expression in _EXPRESSIONS if not needs or any(char in text for char in needs)]


def _weekend(which: str, now: datetime) -> Period:
    return c.weekend(now, {"先々週": 2, "先週": 1, "今週": 0}.get(which, now.weekday() < 5))
