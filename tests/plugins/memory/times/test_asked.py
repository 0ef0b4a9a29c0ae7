"""Words that tell when: which days they mean, and how near a memory is to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.memory.text import normalised
from hoshikage.plugins.memory.times import english, japanese
from hoshikage.plugins.memory.times.asked import SURE_FROM, Span, asked_time, nearness

JAPAN = timezone(timedelta(hours=9))
NOW = datetime(2026, 11, 30, 15, 0, tzinfo=JAPAN)  # a Monday


def days(question: str, now: datetime = NOW) -> list[tuple[str, str]]:
    asked = asked_time(question, now)
    if asked is None:
        return []
    return list(dict.fromkeys((day(span.begin), day(span.end - 1)) for span in asked.spans))


def day(moment: float) -> str:
    return datetime.fromtimestamp(moment, JAPAN).strftime("%y-%m-%d")


@pytest.mark.parametrize(
    ("question", "first", "last"),
    [
        ("What did I do last week?", "26-11-23", "26-11-29"),
        ("What did I do this week?", "26-11-30", "26-12-06"),
        ("the week before last", "26-11-16", "26-11-22"),
        ("What did we talk about yesterday?", "26-11-29", "26-11-29"),
        ("What did I eat two days ago?", "26-11-28", "26-11-28"),
        ("What did I eat 10 days ago?", "26-11-20", "26-11-20"),
        ("a few days ago", "26-11-23", "26-11-29"),
        ("Where was I three weeks ago?", "26-11-04", "26-11-14"),
        ("What did Caroline do in May 2023?", "23-05-01", "23-05-31"),
        ("what happened in March", "26-03-01", "26-03-31"),
        ("What did I read in December?", "25-12-01", "25-12-31"),
        ("in March of last year", "25-03-01", "25-03-31"),
        ("Where did I go last summer?", "26-06-01", "26-08-31"),
        ("Where did I go last autumn?", "25-09-01", "25-11-30"),
        ("Where did I go in the winter of 2024?", "24-12-01", "25-02-28"),
        ("What was on the 5th of May?", "26-05-05", "26-05-05"),
        ("What did I do on May 5th, 2025?", "25-05-05", "25-05-05"),
        ("Notes of 2026-05-01?", "26-05-01", "26-05-01"),
        ("What did I say on the 5th?", "26-11-05", "26-11-05"),
        ("What did I tell you this morning?", "26-11-30", "26-11-30"),
        ("What did I eat last night?", "26-11-29", "26-11-30"),
        ("anything new recently?", "26-11-16", "26-11-30"),
        ("What about last Friday?", "26-11-27", "26-11-27"),
        ("What about last Monday?", "26-11-23", "26-11-23"),
        ("Tuesday of last week", "26-11-24", "26-11-24"),
        ("from Monday to Wednesday?", "26-11-23", "26-11-25"),
        ("between March and May, what did I read?", "26-03-01", "26-05-31"),
        ("between November and February", "25-11-01", "26-02-28"),
        ("in the last three months", "26-08-31", "26-11-30"),
        ("last month", "26-10-01", "26-10-31"),
        ("last year", "25-01-01", "25-12-31"),
        ("What did I write in 2024?", "24-01-01", "24-12-31"),
        ("last weekend", "26-11-28", "26-11-29"),
        ("What do I have tomorrow?", "26-12-01", "26-12-01"),
        ("先週何をした?", "26-11-23", "26-11-29"),
        ("先々週は?", "26-11-16", "26-11-22"),
        ("昨日は何を食べた?", "26-11-29", "26-11-29"),
        ("一昨日どこに行った", "26-11-28", "26-11-28"),
        ("おととい何した?", "26-11-28", "26-11-28"),
        ("三日前に何を話した?", "26-11-27", "26-11-27"),
        ("10日前に何を話した?", "26-11-20", "26-11-20"),
        ("十二日前に何を話した?", "26-11-18", "26-11-18"),
        ("２、３日前の話", "26-11-27", "26-11-28"),
        ("二三日前の話", "26-11-27", "26-11-28"),
        ("数日前の話", "26-11-23", "26-11-29"),
        ("３か月前の旅行", "26-08-12", "26-09-18"),
        ("3ヶ月前の旅行", "26-08-12", "26-09-18"),
        ("半年前の旅行", "26-04-24", "26-07-07"),
        ("先月の話", "26-10-01", "26-10-31"),
        ("先月の5日に買ったもの", "26-10-05", "26-10-05"),
        ("今年の春に何した", "26-03-01", "26-05-31"),
        ("去年の夏の旅行", "25-06-01", "25-08-31"),
        ("おととしの話", "24-01-01", "24-12-31"),
        ("3月に何を買った?", "26-03-01", "26-03-31"),
        ("３月上旬に何を買った?", "26-03-01", "26-03-10"),
        ("去年の12月の話", "25-12-01", "25-12-31"),
        ("5月5日は何をした", "26-05-05", "26-05-05"),
        ("五月五日は何をした", "26-05-05", "26-05-05"),
        ("2025年5月3日の話", "25-05-03", "25-05-03"),
        ("令和7年5月の旅行", "25-05-01", "25-05-31"),
        ("月曜日の会議", "26-11-23", "26-11-23"),
        ("この前の日曜どこ行った", "26-11-29", "26-11-29"),
        ("先週の金曜は何をした?", "26-11-27", "26-11-27"),
        ("先週末はどこに行った", "26-11-28", "26-11-29"),
        ("さっき言ったこと", "26-11-30", "26-11-30"),
        ("最近何してる", "26-11-16", "26-11-30"),
        ("ここ1週間で何を話した?", "26-11-23", "26-11-30"),
        ("10月10日から10月12日まで何をしていた?", "26-10-10", "26-10-12"),
        ("明日の予定は?", "26-12-01", "26-12-01"),
        ("来週の月曜は?", "26-12-07", "26-12-07"),
    ],
)  # fmt: skip
def test_days_of_a_question(question, first, last):
    """Counted from today; a month or a day without a year is the last one that was."""
    assert [(first, last)] == days(question)


@pytest.mark.parametrize(
    "question",
    [
        "May I ask you something?", "They march on.", "Spring framework or Django?", "on mondays I swim",
        "What is my second name?", "What is the capital of Peru?", "Version 2.5 of 1999 items", "",
        "夏目漱石の本", "春樹の本", "三年生の時", "日本の首都は?", "月が綺麗", "火の用心", "毎週月曜は何をする?",
        "1日3回飲む薬", "金の価格", "水の量は?",
        "yesterday, last week, two months ago, in 2019 and on 2020-01-01: sort these",
    ],
)  # fmt: skip
def test_other_words_tell_no_time(question):
    """They look like it, or name so many days that none of them is asked for."""
    assert [] == days(question)


@pytest.mark.parametrize(
    ("question", "only"),
    [
        ("What did I do last week?", True), ("What did we talk about yesterday?", True),
        ("What happened in March?", True),
        ("What did I eat last week?", False), ("先週何をした?", True), ("昨日は何を話した?", True),
        ("おととい、どこ行った?", True),
        ("先週何を食べた?", False), ("What's up today?", False),
        ("What did we talk about today?", True), ("今日何を話した?", True), ("今日は何をしたっけ?", True),
        ("What did I tell you earlier today?", True), ("最近何を話していた?", True),
        ("What did I eat today?", False), ("今日の予定は?", False),
        ("今日は何を食べた?", False),
    ],
)  # fmt: skip
def test_whether_nothing_else_is_asked(question, only):
    """Then whatever was said in these days is an answer."""
    asked = asked_time(question, NOW)

    assert asked is not None
    assert only is asked.only


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("What did I eat last week?", "what did i eat ?"),
        ("先週何を食べた?", "何を食べた?"),
        ("Tuesday lunch", "tuesday lunch"),
    ],
)
def test_words_that_tell_when_are_no_words_to_search_for(question, rest):
    """As long as it is sure that they tell nothing else."""
    asked = asked_time(question, NOW)

    assert asked is not None
    assert rest == " ".join(asked.rest.split())


def test_of_two_times_the_narrower_is_meant():
    """One that lies in the other; two apart are both meant."""
    assert [("26-11-24", "26-11-24")] == days("Last week, I mean on Tuesday, what was it?")
    assert [("25-01-01", "25-12-31"), ("26-10-01", "26-10-31")] == days("more last year or last month?")


def test_days_begin_in_the_zone_of_the_user():
    """Half past midnight in Japan is another day than in Greenwich."""
    early = datetime(2026, 11, 30, 0, 30, tzinfo=JAPAN)

    assert [("26-11-29", "26-11-29")] == days("yesterday", early)
    assert [("26-11-28", "26-11-29")] == days("yesterday", early.astimezone(UTC))


def test_the_edge_is_soft():
    """All of it inside, less just outside, nothing far away."""
    span = Span(0.0, 7 * 86_400.0, (0, 0), 1.0)

    assert (1.0, 1.0, 0.0) == (span.closeness(5.0), span.closeness(7 * 86_400.0), span.closeness(20 * 86_400.0))
    assert 0.4 < span.closeness(8 * 86_400.0) < 0.5


@pytest.mark.parametrize(
    ("text", "said", "fits"),
    [
        ("I went to the zoo", (26, 11, 25), True),
        ("I went to the zoo", (26, 11, 3), False),
        ("Two weeks ago I went to the zoo", (26, 12, 9), True),
        ("The week after that: 11月25日に動物園に行きました", (26, 12, 20), True),
        ("来週の水曜に歯医者がある", (26, 11, 18), True),
        ("last year I went to the zoo", (27, 2, 1), False),
    ],
)
def test_what_speaks_of_a_time_fits_it(text, said, fits):
    """As what was said in it does: nobody says whether they ask when something was, or when it was told."""
    asked = asked_time("What did I do last week?", NOW)
    assert asked is not None
    year, month, number = said

    assert fits is (nearness(normalised(text), datetime(2000 + year, month, number, 12, tzinfo=JAPAN), asked) > 0.5)


@pytest.mark.parametrize(
    "text", ["99999年", "in 0001-00-00", "999 years ago", "百百百年前", "2月31日", "on 2026-02-31"]
)
def test_days_of_no_calendar(text):
    """They mean nothing, and hold up nothing."""
    asked_time(text, NOW)


@pytest.mark.parametrize("question", ["What did we talk about today?", "最近何を話した?"])
def test_a_vague_day_is_sure_where_it_is_all_that_is_asked(question):
    """Otherwise the memories of that day would not fit well enough to come."""
    asked = asked_time(question, NOW)

    assert nearness("", NOW - timedelta(minutes=5), asked) >= SURE_FROM


JAPANESE = (
    "毎週の月曜 2024年 3月 4日 五日 前 の 春 この 半年 数日 数か月 過去 三週 先週 末 今月 十日 この前 火曜日 朝 "
    "おととし 令和元年 きのう あした 今日 けさ 今夜 ゆうべ 2024/03/04 3/4 に 12日 さっき こないだ 最近"
)
ENGLISH = (
    "on the 12 12th of march may 2020 in since back 1999 yesterday last night this morning tonight so far today "
    "two days ago past weeks before monday weekend next week summer"
)


@given(st.lists(st.sampled_from(f"{JAPANESE} {ENGLISH}".split()), min_size=1, max_size=5), st.sampled_from(["", " "]))
def test_what_is_not_tried_does_not_fit(pieces, between):
    """Most patterns are left out for most texts, by a few characters or words that are cheap to look for."""
    text = normalised(between.join(pieces))
    fitting = [e for _, e in japanese._EXPRESSIONS if e[0].search(text)]
    fitting += [e for e in english._EXPRESSIONS if e[0].search(text)]

    assert set(fitting) <= {*japanese.expressions_for(text), *english.expressions_for(text)}
