"""What still waits for a vector, on a real file: kept up to date through every change, and never wrong."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database

A, B = Owner("a"), Owner("b")
VECTOR = b"\x00\x3c" * 2


@pytest.fixture
def database(tmp_path: Path):
    found = Database.open(tmp_path / "m.sqlite3")
    found._connection.pragma("synchronous", "OFF")  # no test here pulls the plug
    yield found
    found.close()


def told(database: Database, *texts: str, owner: Owner = A) -> list[Memory]:
    return database.write(owner, [Memory("", text, 1.0, session=text) for text in texts])


def waiting(database: Database, embedder: int, *, limit: int = 1000) -> list[str]:
    return [text for _, text in database.unembedded(embedder, limit=limit)]


def embed(database: Database, embedder: int, *, limit: int) -> None:
    rows = database.unembedded(embedder, limit=limit)
    database.put_vectors(embedder, [(number, text, VECTOR) for number, text in rows])


def scanned(database: Database, embedder: int) -> list[str]:
    """The same by looking at every row."""
    rows = database._run(
        "SELECT text FROM memory m WHERE NOT EXISTS (SELECT 1 FROM vector v WHERE v.memory = m.number "
        "AND v.embedder = ?) ORDER BY number DESC",
        embedder,
    )
    return [text for (text,) in rows]


def test_the_newest_wait_first(database):
    """What was written before anybody asked, and after it."""
    number = database.embedder("compass")
    told(database, "one", "two")
    before = waiting(database, number)
    told(database, "three")

    assert (["two", "one"], ["three", "two"]) == (before, waiting(database, number, limit=2))


def test_a_look_at_what_is_new_reads_no_other_row(database):
    """With very many memories, each turn that is written must not cost a look at all of them."""
    number = database.embedder("compass")
    told(database, *(f"text {n}" for n in range(1000)))
    embed(database, number, limit=1000)
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    database._connection.set_progress_handler(count, 10)  # called every ten instructions
    told_in_vain = waiting(database, number)
    database._connection.set_progress_handler(None)

    assert ([], True) == (told_in_vain, steps < 20)


def test_it_is_right_after_any_changes(database):
    """Writing, editing, forgetting and embedding in any order: the same as a look at all rows."""
    chance, written = random.Random(7), {A: [], B: []}
    embedders = [database.embedder(name) for name in ("compass", "map")]
    for step in range(150):
        owner, embedder = chance.choice([A, B]), chance.choice(embedders)
        mine = written[owner]
        match chance.randrange(6):
            case 0 | 1:
                mine += told(database, f"text {step}", owner=owner)
            case 2 if mine:
                database.edit(owner, chance.choice(mine).id, f"edited {step}")
            case 3 if mine:
                database.forget(owner, mine.pop(chance.randrange(len(mine))).id)
            case 4 if step % 20 == 0:
                database.forget(owner)
                mine.clear()
            case _:
                embed(database, embedder, limit=3)

        assert all(scanned(database, e) == waiting(database, e) for e in embedders[: 1 if step < 75 else 2])


def test_what_is_rolled_back_does_not_wait(database):
    """A full disk in the middle of a write leaves nothing to embed."""
    number = database.embedder("compass")
    told(database, "one")
    waiting(database, number)
    database._connection.pragma("max_page_count", database._connection.pragma("page_count") + 2)
    with pytest.raises(apsw.FullError):
        told(database, *(f"{n} {'x' * 3000}" for n in range(100)))

    assert ["one"] == waiting(database, number)


def test_what_another_process_left_is_found(tmp_path):
    """Whoever was killed between a memory and its vector: the next one sees it."""
    first = Database.open(tmp_path / "m.sqlite3")
    number = first.embedder("compass")
    told(first, "one", "two")
    embed(first, number, limit=1)
    first.close()
    second = Database.open(tmp_path / "m.sqlite3")

    assert ["one"] == waiting(second, second.embedder("compass"))
    assert ["two", "one"] == waiting(second, second.embedder("map"))
    second.close()
