"""Facts that change, over a real file: the newer takes the place of the older, and gives it back when it goes."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from hoshikage import Memory, Owner
from hoshikage.plugins.memory import schema
from hoshikage.plugins.memory.block import block_of
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.facts import superseding
from hoshikage.plugins.memory.ranking import Weights
from hoshikage.plugins.memory.recalling import Bounds, choose, search

ANN, BEN = Owner("k", "ann"), Owner("k", "ben")


@pytest.fixture
def database(tmp_path: Path):
    found = Database.open(tmp_path / "memories.sqlite3")
    yield found
    found.close()


def say(database: Database, text: str, at: float, *, role: str = "user", owner: Owner = ANN) -> Memory:
    (written,) = database.write(owner, [Memory("", text, at, role, "turn", f"s{at}")])
    return written


def outdated(database: Database, owner: Owner = ANN) -> dict[str, str]:
    """What no longer holds, and what took its place."""
    memories = {memory.id: memory for memory in database.newest(owner, limit=1000)}
    return {m.text: memories[m.superseded_by].text for m in memories.values() if m.superseded_by}


def recalled(database: Database, question: str, *, past: bool = False) -> list[str]:
    found = choose(search(database, ANN, question, Weights()), Bounds(10, threshold=0.25), outdated=past)
    return [item.memory.text for item in found]


def test_the_newer_takes_the_place_of_the_older(database):
    """Also where the question shares its words with the older alone; both stay in the record."""
    say(database, "I live in Tokyo.", 1)
    say(database, "We moved to Osaka.", 2)
    say(database, "The weather is fine.", 3)

    assert {"I live in Tokyo.": "We moved to Osaka."} == outdated(database)
    assert ["We moved to Osaka."] == recalled(database, "Where do I live?")
    assert 3 == len(database.newest(ANN, limit=10))


def test_in_japanese(database):
    """And over both languages."""
    say(database, "東京に住んでいます。", 1)
    say(database, "先月、大阪に引っ越しました。", 2)
    say(database, "I moved to Kobe.", 3)

    assert {"東京に住んでいます。": "I moved to Kobe.", "先月、大阪に引っ越しました。": "I moved to Kobe."} == outdated(
        database
    )
    assert ["I moved to Kobe."] == recalled(database, "どこに住んでいる?")


def test_who_asks_for_the_past_gets_it(database):
    """With a mark that it is no longer so."""
    say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2)
    found = choose(search(database, ANN, "Where did I live before?", Weights()), Bounds(10), outdated=True)

    assert ["I moved to Osaka.", "I live in Tokyo."] == [item.memory.text for item in found]
    assert "user (no longer so): I live in Tokyo." in block_of(found)


def test_the_time_counts_and_not_the_order_of_writing(database):
    """What is imported later may be older."""
    say(database, "I moved to Osaka.", 20)
    say(database, "I live in Tokyo.", 10)

    assert {"I live in Tokyo.": "I moved to Osaka."} == outdated(database)


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_only_the_user_says_how_it_is(database, role):
    """What an assistant says of itself or of the user changes nothing."""
    say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2, role=role)

    assert {} == outdated(database)


def test_notes_count(database):
    """They were written by hand."""
    say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2, role="note")

    assert {"I live in Tokyo.": "I moved to Osaka."} == outdated(database)


def test_what_says_more_stays(database):
    """And brings along what took the place of a part of it."""
    say(database, "I live in Tokyo with my two children, Ken and Mari.", 1)
    say(database, "I moved to Osaka.", 2)

    assert {} == outdated(database)
    assert {"I moved to Osaka.", "I live in Tokyo with my two children, Ken and Mari."} == set(
        recalled(database, "What are my children called?")
    )


def test_forgetting_the_newer_brings_the_older_back(database):
    """Whatever is left decides."""
    say(database, "I live in Tokyo.", 1)
    osaka = say(database, "I moved to Osaka.", 2)
    kobe = say(database, "I moved to Kobe.", 3)
    database.forget(ANN, kobe.id)
    with_osaka = outdated(database)
    database.forget(ANN, osaka.id)

    assert {"I live in Tokyo.": "I moved to Osaka."} == with_osaka
    assert {} == outdated(database)
    assert ["I live in Tokyo."] == recalled(database, "Where do I live?")


def test_editing_decides_anew(database):
    """A corrected newer one brings the older back; a corrected older one can be superseded, or not any more."""
    tokyo = say(database, "I live in Tokyo.", 1)
    osaka = say(database, "I moved to Osaka.", 2)
    database.edit(ANN, osaka.id, "I visited Osaka.")
    visited = outdated(database)
    edited = database.edit(ANN, osaka.id, "I moved to Kobe.")
    moved = outdated(database)
    old = database.edit(ANN, tokyo.id, "I like Tokyo.")

    assert ({}, {"I live in Tokyo.": "I moved to Kobe."}, {}) == (visited, moved, outdated(database))
    assert ("", "") == (edited.superseded_by, old.superseded_by)


@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_said_again_holds_again(database, at_once):
    """In one session, which has each text once; it keeps its id, and is as new as the last time."""
    texts = ("I live in Tokyo.", "I moved to Osaka.", "I live in Tokyo.")
    said = [Memory("", text, float(at), "user", "turn", "s") for at, text in enumerate(texts)]
    written = [] if at_once else [database.write(ANN, [memory])[0].id for memory in said]
    if at_once:
        database.write(ANN, said)

    assert {"I moved to Osaka.": "I live in Tokyo."} == outdated(database)
    assert 2 == len(database.newest(ANN, limit=10))
    assert at_once or written[0] == written[2]


def test_taking_the_same_in_again_changes_nothing(database):
    """Where a file does not say when, all of it is as new as the taking."""
    for now in (1.0, 2.0):
        texts = ("I live in Tokyo.", "I moved to Osaka.")
        database.write(ANN, [Memory("", text, now, "note", "note", "") for text in texts])

    assert {"I live in Tokyo.": "I moved to Osaka."} == outdated(database)


def test_owners_do_not_change_each_others_facts(database):
    """Two people live where each of them lives."""
    say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2, owner=BEN)

    assert ({}, {}) == (outdated(database), outdated(database, BEN))


def test_the_older_one_alone_is_forgotten(database):
    """The newer one stays as it is."""
    tokyo = say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2)
    database.forget(ANN, tokyo.id)

    assert ["I moved to Osaka."] == [memory.text for memory in database.newest(ANN, limit=10)]
    assert 1 == database.forget(ANN)


def test_claims_leave_no_trace(database):
    """The value of a claim is text too."""
    keep = say(database, "I love oranges.", 1)
    said = say(database, "I love Quincemarmalade.", 2)
    database.edit(ANN, say(database, "I moved to Xanadupolis.", 3).id, "I moved to Kobe.")
    database.forget(ANN, said.id)
    content = b"".join(file.read_bytes() for file in database._file.parent.iterdir()).lower()

    assert keep.text in [memory.text for memory in database.newest(ANN, limit=10)]
    assert b"oranges" in content
    assert b"quincemarmalade" not in content
    assert b"xanadupolis" not in content


def test_the_same_with_another_value_comes_newest_first(database):
    """No rule knows what it is about, and nothing of it is hidden."""
    for at, count in ((3, 30), (1, 10), (2, 20)):
        say(database, f"The warehouse holds {count} boxes of screws", at)
    database.write(ANN, [Memory("", f"Something else, {n}", 1.0, "user", "turn", f"x{n}") for n in range(20)])

    assert ["The warehouse holds 30", "The warehouse holds 20", "The warehouse holds 10"] == [
        text[:22] for text in recalled(database, "How many boxes of screws does the warehouse hold?")
    ]


def test_a_slot_of_thousands_is_settled_fast(database):
    """Who says every day where they live does not make writing slow."""
    texts = [f"I live in {('Tokyo', 'Osaka')[n % 2]}." for n in range(1000)]
    database.write(ANN, [Memory("", text, float(n), "user", "turn", f"s{n}") for n, text in enumerate(texts)])

    assert {"I live in Tokyo.": "I live in Osaka.", "I live in Osaka.": "I live in Osaka."} == outdated(database)


@pytest.mark.parametrize("text", ["I live in Town{}.", "I am an A{} teacher."])
def test_a_slot_of_many_values_is_settled_fast(database, text):
    """A file of other talk, taken in, holds up nobody: neither where the last is true, nor where all may be."""
    texts = [text.format(n) for n in range(1000)]
    began = time.perf_counter()
    database.write(ANN, [Memory("", text, float(n), "user", "turn", f"s{n}") for n, text in enumerate(texts)])

    assert time.perf_counter() - began < 5.0  # half a minute, with a look at each pair


def test_what_has_ended_brings_along_what_says_so(database):
    """Whatever it is, and though the newer one shares no word with the question; nothing is hidden."""
    say(database, "My shift at the bakery begins at five in the morning.", 1)
    say(database, "I quit the bakery, the library is calmer.", 2)
    say(database, "バイトは駅前のドーナツ屋。", 3)
    say(database, "ドーナツ屋はやめて、図書館で本をもどす係になった。", 4)

    assert {} == outdated(database)
    assert [
        "I quit the bakery, the library is calmer.",
        "My shift at the bakery begins at five in the morning.",
    ] == recalled(database, "When does my shift begin in the morning?")
    assert "ドーナツ屋はやめて、図書館で本をもどす係になった。" == recalled(database, "バイトは駅前?")[0]


def test_endings_leave_no_trace(database):
    """The name of what has ended is text too."""
    said = say(database, "I quit the Quincebakery.", 1)
    database.forget(ANN, said.id)
    content = b"".join(file.read_bytes() for file in database._file.parent.iterdir()).lower()

    assert b"quincebakery" not in content


def test_a_question_for_now_prefers_what_tells_of_now(database):
    """Of two that fit alike; without such a word both are as they were."""
    say(database, "お昼はおにぎりを二つ持っていく。", 1)
    say(database, "お昼の弁当づくりは力つきた。今は社員食堂。", 2)
    first = [
        recalled(database, question)[0] for question in ("今、お昼のおにぎりはどうしてる?", "お昼のおにぎりはいくつ?")
    ]

    assert ["お昼の弁当づくりは力つきた。今は社員食堂。", "お昼はおにぎりを二つ持っていく。"] == first


# --- files from before ---


def old_file(tmp_path: Path, version: int = 1) -> Path:
    """A file as an older version made it."""
    file = tmp_path / "old.sqlite3"
    database = Database.open(file)  # its index needs the module that comes with the library
    say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2)
    run = database._run
    run("DROP TABLE ending")
    if version == 1:
        run("DROP TABLE claim")
        run("DROP TABLE progress")
        run("DROP TABLE digest_source")
        run("UPDATE memory SET superseded_by = ''")
    else:
        run("UPDATE progress SET number = 1 WHERE name = 'claims rules'")
    database._connection.pragma("user_version", version)
    database.close()
    return file


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_brought_along(tmp_path, version):
    """Its memories are read a few at a time, and are there meanwhile."""
    database = Database.open(old_file(tmp_path, version))
    before = outdated(database)
    steps = [database.read_claims(limit=1) for _ in range(3)]
    after = outdated(database)
    database.close()

    assert ({}, [1, 1, 0], {"I live in Tokyo.": "I moved to Osaka."}) == (before, steps, after)


@pytest.mark.parametrize("version", [1, 2])
def test_the_steps_lead_to_what_a_new_file_has(tmp_path, version):
    """There is one way to every version."""
    new = tmp_path / "new.sqlite3"
    Database.open(new).close()
    Database.open(old_file(tmp_path, version)).close()
    tables = []
    for file in (new, tmp_path / "old.sqlite3"):
        with sqlite3.connect(file) as connection:
            tables.append(
                sorted(connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'"))
            )
            assert schema.VERSION == connection.execute("PRAGMA user_version").fetchone()[0]

    assert tables[0] == tables[1]


def test_other_rules_read_everything_again(tmp_path, monkeypatch):
    """What older rules found is not mixed with it."""
    file = tmp_path / "m.sqlite3"
    database = Database.open(file)
    say(database, "I live in Tokyo.", 1)
    say(database, "I moved to Osaka.", 2)
    database.close()
    monkeypatch.setattr(superseding, "RULES", superseding.RULES + 1)
    database = Database.open(file)
    before = outdated(database)
    while database.read_claims(limit=1):
        pass
    after = outdated(database)
    database.close()

    assert ({}, {"I live in Tokyo.": "I moved to Osaka."}) == (before, after)
