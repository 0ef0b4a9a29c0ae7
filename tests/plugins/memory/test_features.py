"""What is known of candidates by themselves, and of what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hoshikage import Memory, Owner
from hoshikage.plugins.memory import features
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.features import Features
from hoshikage.plugins.memory.lexical import Statistics, score
from hoshikage.plugins.memory.text import terms_of
from hoshikage.plugins.memory.times.asked import asked_time

ANN = Owner("", "ann")
TALK = ["We got a cat.", "How nice! What is it called?", "Kuro, as it is black.", "A black cat!", "I bake bread."]
DAY_S = 86_400.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "m.sqlite3")
    opened.write(ANN, [Memory("", text, n * DAY_S, session="one") for n, text in enumerate(TALK)])
    yield opened
    opened.close()


def known(database: Database, question: str = "black cat", now: datetime | None = None) -> Features:
    terms = terms_of(question)
    asked = asked_time(question, now) if now is not None else None
    return Features(Statistics(*database.size(ANN), database.counts(ANN, terms)), asked)


def test_a_candidate_brings_what_stands_beside_it(database):
    """The turns before and after come along; beside them is nothing but what brought them."""
    found, rows = known(database), database.oldest_after(ANN, 0)
    found.look_at(database, ANN, [rows[2]])
    near, beside = found.with_neighbours([rows[2]])

    assert [3, 2, 4] == [row.number for row in near]
    assert [[1, 2], [-1, 0], [0, -1]] == beside.tolist()


def test_it_makes_no_difference_when_something_is_learned(database):
    """Of what was looked at before the question's vector came, and of the rest after it."""
    rows = database.oldest_after(ANN, 0)
    early, late = known(database), known(database)
    for some in (rows[:1], rows[:1], rows[2:4]):
        early.look_at(database, ANN, some)
    late.look_at(database, ANN, [rows[3], rows[2], rows[0]])
    chosen = [rows[0], rows[2], rows[3]]

    assert early.with_neighbours(chosen)[0] == late.with_neighbours(chosen)[0]
    for part in (early, late):
        all_of_it = part.with_neighbours(chosen)[0]
        alone = score([r.plain for r in all_of_it], [r.length for r in all_of_it], part._statistics)
        assert alone == pytest.approx(part.words(all_of_it))
        assert [row.memory.text.endswith("?") for row in all_of_it] == part.asking(all_of_it).tolist()


def test_only_the_first_ones_are_read_for_a_time(database, monkeypatch):
    """The days in which the others were said are known without reading."""
    monkeypatch.setattr(features, "READ_TEXTS", 1)
    database.write(ANN, [Memory("", f"On 1971-03-0{n} the cat ran away.", 400 * DAY_S) for n in (2, 3)])
    rows = [row for row in database.oldest_after(ANN, 0) if "ran" in row.memory.text]
    found = known(database, "What did the cat do on 1971-03-03?", datetime(1972, 1, 1, tzinfo=UTC))
    first, second = (found.times(some).tolist() for some in (rows, rows[::-1]))

    assert (first[1], second[1]) == (0, 0)
    assert second[0] == pytest.approx(1, abs=0.1)
    assert known(database).times(rows) is None
