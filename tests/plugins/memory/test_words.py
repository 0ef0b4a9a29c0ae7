"""The index of words knows what is there and nothing of what was, however it went."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from hoshikage import Memory, Owner
from hoshikage.plugins.memory import schema, words
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.text import terms_of
from hoshikage.plugins.memory.upkeep.checking import check_words

ANN, BOB = Owner("", "ann"), Owner("", "bob")
FULL_RECORD = 200  # bytes of FTS5's list of its segments; each level that is left behind adds two


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "m.sqlite3")
    opened.connection.pragma("synchronous", "OFF")  # nobody pulls a plug here
    yield opened
    opened.close()


def wrong(database: Database) -> int:
    """How many memories the index does not know by exactly their terms."""
    *_, last = check_words(database.connection)
    return last.wrong


def told(database: Database, texts: list[str], owner: Owner = ANN) -> list[str]:
    """Write them down: their ids."""
    return [memory.id for memory in database.write(owner, [Memory("", text, 0) for text in texts])]


def left(database: Database, *needles: str) -> list[str]:
    """Which of these are still in a file."""
    content = b"".join(file.read_bytes() for file in database._file.parent.iterdir())
    return [needle for needle in needles if needle.encode() in content]


def test_whatever_is_done_it_is_as_if_it_was_made_anew(database, monkeypatch):
    """Writing, editing and forgetting by chance, of one and of many, of two owners."""
    monkeypatch.setattr(words, "ONE_BY_ONE", 20)
    chance, count = random.Random(1), 0
    names = [f"{a}{b}" for a in ("kuro", "mikan", "tama", "蜜柑", "東京", "run") for b in ("", "ing", "犬", "7", "を")]
    for _ in range(60):
        owner = chance.choice([ANN, BOB])
        count += 12
        ids = told(database, [f"{' '.join(chance.choices(names, k=8))} {count + n}" for n in range(12)], owner)
        for one in chance.sample(ids, 4):
            database.forget(owner, one)
        for one in ids[:2]:
            if any(row.memory.id == one for row in database.oldest_after(owner, 0, limit=10_000)):
                database.edit(owner, one, f"{' '.join(chance.choices(names, k=5))} edited {one}")
        if chance.random() < 0.1:
            database.forget(owner)

    assert 0 == wrong(database)
    database.connection.execute("INSERT INTO term (term) VALUES ('integrity-check')")


@pytest.mark.parametrize(("one_by_one", "others"), [(1_000, 2), (10, 500), (10, 2)])
def test_what_went_leaves_no_byte(database, monkeypatch, one_by_one, others):
    """Where each page loses one entry, where all are merged, and where the few that stay are read again."""
    monkeypatch.setattr(words, "ONE_BY_ONE", one_by_one)
    gone = [f"zq{n:04}x{n * 7919 % 10007:05}" for n in range(300)]
    told(database, [f"the {name} of ann" for name in gone])
    told(database, ["the kuroof of bob", *(f"his no. {n}" for n in range(others))], BOB)
    database.forget(ANN)

    assert [] == left(database, *gone)
    assert 0 == wrong(database)
    assert 1 == len(database.matching(BOB, terms_of("kuroof"), limit=5))


@pytest.mark.parametrize("at_once", [True, False])
def test_thousands_of_deletions(database, monkeypatch, at_once):
    """FTS5 takes a list of segments with 2,000 levels for corrupt, so no deletion may leave one behind."""
    monkeypatch.setattr(words, "ONE_BY_ONE", 0 if at_once else 1_000)
    kept, *others = told(database, [f"cat {n}" for n in range(301)])
    lengths = []
    for one in others:
        database.forget(ANN, one)
        lengths.append(len(database.connection.execute("SELECT block FROM term_data WHERE id = 10").fetchone()[0]))

    assert [kept] == [row.memory.id for row in database.matching(ANN, ["cat"], limit=5)]
    assert max(lengths) < FULL_RECORD


@pytest.mark.parametrize("change", ["forget", "edit"])
def test_what_other_rules_wrote_goes_too(database, monkeypatch, change):
    """Today's terms of a text are not those that it was written by, so all is read again first."""
    (one, _) = told(database, ["She was running to Zanzibar.", "A dog."])
    monkeypatch.setattr(words, "RULES", 7)
    monkeypatch.setattr(words, "terms_of", lambda text: text.upper().split())
    if change == "forget":
        database.forget(ANN, one)
    else:
        database.edit(ANN, one, "nothing")

    assert [] == left(database, "zanzibar", "ANZIBAR")
    assert ["A dog."] == [row.memory.text for row in database.matching(ANN, ["DOG."], limit=5)]


def test_a_file_of_version_3_goes_on(tmp_path):
    """Its index is of another kind: it is made anew in the background, or before anything goes."""
    file = tmp_path / "m.sqlite3"
    older = apsw.Connection(str(file))
    older.execute(schema.FIRST)
    for step in (1, 2):
        older.execute(schema.STEPS[step])
    older.execute("INSERT INTO progress (name, number) VALUES ('terms', 2), ('merges', 700)")
    older.pragma("user_version", 3)
    older.close()
    database = Database.open(file)
    told(database, ["My cat is called Kuro.", "My dog is called Zanzibar."])
    database.connection.execute("INSERT INTO term (term) VALUES ('delete-all')")  # as it was before
    database.close()
    database = Database.open(file)
    before = database.matching(ANN, ["cat"], limit=5)
    dog = next(m for m in database.newest(ANN, limit=5) if "dog" in m.text)
    database.forget(ANN, dog.id)

    assert [] == before
    assert 1 == len(database.matching(ANN, ["cat"], limit=5))
    assert (0, []) == (wrong(database), left(database, "zanzibar", "anzibar"))
    database.close()
