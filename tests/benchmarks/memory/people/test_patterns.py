"""The form in which people and topics are written down."""

from __future__ import annotations

from datetime import date

import pytest

from benchmarks.memory.people.patterns import Asked, BadPatternError, Exchange, life, lives, manners, topic, topics

FILE = """
name: 星 花子
voice: polite
now: 2026-05-01
25-05-01 dog | 犬がいます。 | いいですね。
+ | 雨です。 | はい。
25-06-01 cat | 猫に替わりました。 | そうですか。
? changed cat < dog | 今は何がいますか。
? never | 犬の年は？
? never ! 鳥 インコ | 鳥は何羽？
"""


def test_a_person_is_read_with_days_and_questions():
    """Days hold what is told, in its order; questions point to it by keys."""
    found = life("hanako", FILE)

    assert ("星 花子", "polite", date(2026, 5, 1)) == (found.name, found.voice, found.now)
    assert [date(2025, 5, 1), date(2025, 6, 1)] == [day.date for day in found.days]
    told = [Exchange("dog", "犬がいます。", "いいですね。"), Exchange("", "雨です。", "はい。")]
    assert told == found.days[0].exchanges
    changed = Asked("changed", ("cat",), ("dog",), "今は何がいますか。")
    untold = Asked("never", (), (), "犬の年は？")
    unmentioned = Asked("never", (), (), "鳥は何羽？", unsaid=("鳥", "インコ"))
    assert [changed, untold, unmentioned] == found.questions


@pytest.mark.parametrize(
    "line",
    [
        "? perhaps dog | 何？",
        "? never dog | 何？",
        "? never ! | 何？",
        "+ dog | 先に。 | はい。",
        "age: 20",
        "かんたん",
    ],
)
def test_an_odd_line_is_named(line: str):
    """A slip in a file stops the benchmark instead of changing it."""
    with pytest.raises(BadPatternError, match=line[:5].replace("+", r"\+").replace("?", r"\?")):
        life("hanako", line)


def test_a_topic_is_read_by_voice():
    """Openings and replies belong to a voice, things to all of them."""
    found = topic("tea", "polite ? {x}とは？\npolite + ほかには？\n= 番茶 | ほうじます。 | 安いです。")

    assert {"polite": ["{x}とは？"]} == found.openings
    assert {"polite": ["ほかには？"]} == found.replies
    assert [("番茶", "ほうじます。", "安いです。")] == found.things
    with pytest.raises(BadPatternError, match="tea"):
        topic("tea", "polite % {x}とは？")


def test_every_voice_can_talk_about_every_topic():
    """Nobody falls silent: each voice that a person has opens, replies, greets, remarks and leaves."""
    voices = {person.voice for person in lives()}

    assert len(voices) >= 5
    for found in topics():
        assert voices == found.openings.keys() == found.replies.keys(), found.id
    assert voices == manners().greetings.keys() == manners().farewells.keys() == manners().remarks.keys()
