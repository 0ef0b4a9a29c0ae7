"""The store of record on a real file: writing once, finding within one owner only, and deleting without a trace."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from hoshikage import Memory, Owner
from hoshikage.core.errors import InvalidRequest, MemoryNotFound, MemoryUnavailable
from hoshikage.plugins.memory.database import Database

A, B = Owner("a"), Owner("b")
TURN = Memory("", "My cat is called Mikan.", 100.0, "user", "turn", "s1", "r1")


@pytest.fixture
def database(tmp_path: Path):
    """An empty one."""
    found = Database.open(tmp_path / "memories.sqlite3")
    yield found
    found.close()


def texts(database: Database, owner: Owner = A) -> list[str]:
    return [memory.text for memory in database.newest(owner, limit=100)]


def test_what_is_written_comes_back(database):
    """With a new id, and all else as it was."""
    (written,) = database.write(A, [TURN])

    assert written.id.startswith("mem_")
    assert [replace(TURN, id=written.id)] == database.newest(A, limit=10)


def test_the_newest_come_first(database):
    """By the time when they were said, not when they were written."""
    database.write(A, [replace(TURN, text=text, said_at=at) for text, at in (("b", 2.0), ("c", 3.0), ("a", 1.0))])

    assert ["c", "b"] == [memory.text for memory in database.newest(A, limit=2)]


@pytest.mark.parametrize(
    ("again", "count"),
    [(TURN, 1), (replace(TURN, text=" MY cat is called Ｍikan. "), 1), (replace(TURN, session="s2"), 2)],
)
def test_the_same_text_is_written_once_in_a_session(database, again, count):
    """Width, case and space around it make no other text of it."""
    database.write(A, [TURN])
    database.write(A, [again])

    assert count == len(texts(database))


def test_all_or_none(database):
    """A memory that cannot be written takes those before it along."""
    with pytest.raises(TypeError):
        database.write(A, [TURN, replace(TURN, text="x", said_at=object())])

    assert [] == texts(database)


@pytest.mark.parametrize(
    "other", [B, Owner("a", "u"), Owner("a", "", "p"), Owner("", "a"), Owner("a\0"), Owner("A")], ids=repr
)
def test_owners_are_kept_apart(database, other):
    """Whatever two of them have in common, nothing of one is found, counted, changed or deleted by the other."""
    (mine,) = database.write(A, [TURN])
    database.write(other, [replace(TURN, text="A dog.")])
    found = database.matching(other, ["cat", "mikan", "dog"], limit=10)

    assert ["A dog."] == [row.memory.text for row in found]
    assert {"cat": 0, "dog": 1} == database.counts(other, ["cat", "dog"])
    assert 1 == database.size(other)[0] == database.stats(other)[0]
    for change in (lambda: database.edit(other, mine.id, "x"), lambda: database.forget(other, mine.id)):
        with pytest.raises(MemoryNotFound):
            change()
    assert 1 == database.forget(other)
    assert [TURN.text] == texts(database)


def test_terms_find_the_best_first(database):
    """Who has more of the rarer terms is better."""
    database.write(A, [replace(TURN, text=text) for text in ("cat dog", "cat", "bird", "cat cat fish")])
    found = database.matching(A, ["cat", "fish"], limit=10)

    assert "cat cat fish" == found[0].memory.text
    assert {"cat dog", "cat", "cat cat fish"} == {row.memory.text for row in found}
    assert [] == database.matching(A, [], limit=10)


def test_what_stands_beside_in_a_session(database):
    """Other sessions in between do not count."""
    turns = [("a", "s1"), ("x", "s2"), ("b", "s1"), ("c", "s1")]
    database.write(A, [replace(TURN, text=text, session=session) for text, session in turns])
    rows = {row.memory.text: row for row in database.oldest_after(A, 0)}
    a, x, b, c = (rows[text].number for text in "axbc")

    assert {a: (0, b), x: (0, 0), b: (a, c), c: (b, 0)} == database.beside(A, [a, x, b, c])
    assert {} == database.beside(B, [a])


def test_an_edited_text_is_found_by_its_new_words(database):
    """And not by its old ones, of which no byte is left."""
    (mine,) = database.write(A, [TURN])
    database.edit(A, mine.id, "My cat is called Yuzu.")

    assert [] == database.matching(A, ["mikan"], limit=10)
    assert ["My cat is called Yuzu."] == [row.memory.text for row in database.matching(A, ["yuzu"], limit=10)]
    assert {} == traces(database, b"Mikan", b"mikan")


def test_two_of_a_conversation_cannot_say_the_same(database):
    """Which one is meant otherwise? Nothing is changed."""
    mine, other = database.write(A, [TURN, replace(TURN, text="A dog.")])
    with pytest.raises(InvalidRequest, match=other.id):
        database.edit(A, mine.id, "a DOG.")

    assert {TURN.text, "A dog."} == set(texts(database))
    assert "My CAT is called Mikan." == database.edit(A, mine.id, "My CAT is called Mikan.").text


@pytest.mark.parametrize("all_of_it", [False, True])
def test_forgotten_leaves_no_trace(database, all_of_it):
    """Neither text nor terms stay in the file or in the log beside it; others stay as they are."""
    written = database.write(A, [replace(TURN, text=f"{TURN.text} {n} 蜜柑") for n in range(50)])
    database.write(B, [replace(TURN, text="A dog.")])
    for memory in written[:1] if all_of_it else written:
        database.forget(A, None if all_of_it else memory.id)

    assert {} == traces(database, b"Mikan", b"mikan", "蜜柑".encode(), "蜜".encode())
    assert ([], ["A dog."]) == (texts(database), texts(database, B))


@pytest.mark.parametrize("change", ["edit", "forget"])
def test_forgotten_leaves_no_trace_after_a_kill(tmp_path, monkeypatch, change):
    """Where the process ends before the log is emptied, the next start does what is missing."""
    database = Database.open(tmp_path / "whole" / "m.sqlite3")
    first, *_ = database.write(A, [replace(TURN, text="Mikan 蜜柑"), replace(TURN, text="A dog.")])
    killed = tmp_path / "killed"
    monkeypatch.setattr(Database, "empty_log", lambda base: shutil.copytree(base._file.parent, killed))
    if change == "edit":
        database.edit(A, first.id, "A cat.")
    else:
        database.forget(A, first.id)
    monkeypatch.undo()
    database.close()
    again = Database.open(killed / "m.sqlite3")
    left, known = traces(again, b"Mikan", b"mikan", "蜜柑".encode(), "蜜".encode()), texts(again)
    again.close()

    assert {} == left
    assert "A dog." in known


def test_opening_changes_nothing(tmp_path):
    """A file may be damaged without showing it at once; whatever is written into it makes it harder to save."""
    file = tmp_path / "m.sqlite3"
    database = Database.open(file)
    database.write(A, [TURN])
    database.close()
    before = file.read_bytes()
    databases = [Database.open(file) for _ in range(2)]
    after, log = file.read_bytes(), file.with_name("m.sqlite3-wal").stat().st_size
    for database in databases:
        database.close()

    assert (before, 0) == (after, log)


def test_no_temporary_file_gets_a_text(database):
    """What SQLite puts aside while it sorts or deletes stays in memory, where nothing outlives the process."""
    assert 2 == database._connection.pragma("temp_store")


def traces(database: Database, *needles: bytes) -> dict[str, list[bytes]]:
    """Which of these bytes are still in which file."""
    files = {file.name: file.read_bytes() for file in database._file.parent.iterdir()}
    return {name: found for name, content in files.items() if (found := [n for n in needles if n in content])}


def test_writing_goes_on_after_a_full_disk(database):
    """What did not fit is not there at all, what was there stays, and later there is room again."""
    database.write(A, [TURN])
    pages = database._connection.pragma("page_count")
    database._connection.pragma("max_page_count", pages + 2)
    with pytest.raises(apsw.FullError):
        database.write(A, [replace(TURN, text=f"{n} {'x' * 3000}") for n in range(100)])
    before = texts(database)
    database._connection.pragma("max_page_count", 1_000_000)
    database.write(A, [replace(TURN, text="A dog.")])

    assert ([TURN.text], {TURN.text, "A dog."}) == (before, set(texts(database)))


def test_ids_are_never_used_again(database):
    """A client that still has one of a forgotten memory gets no other."""
    seen = set()
    for _ in range(3):
        (written,) = database.write(A, [TURN])
        seen.add(written.id)
        database.forget(A)

    assert 3 == len(seen)


def test_it_is_there_the_next_time(tmp_path):
    """One process ends, the next one goes on."""
    first = Database.open(tmp_path / "m.sqlite3")
    first.write(A, [TURN])
    first.close()
    second = Database.open(tmp_path / "m.sqlite3")

    assert [TURN.text] == texts(second)
    second.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at" * 10, None])
def test_what_is_no_database_is_refused(tmp_path, content):
    """It is told with the file's name, and the file stays as it is."""
    file = tmp_path / "m.sqlite3"
    file.mkdir() if content is None else file.write_bytes(content)

    with pytest.raises(MemoryUnavailable, match=r"m\.sqlite3 cannot be opened"):
        Database.open(file)
    assert content is None or content == file.read_bytes()


def test_a_newer_version_is_refused(tmp_path):
    """An old server must not write into what it does not know."""
    Database.open(tmp_path / "m.sqlite3").close()
    with sqlite3.connect(tmp_path / "m.sqlite3") as other:
        other.execute("PRAGMA user_version = 99")

    with pytest.raises(MemoryUnavailable, match="version 99"):
        Database.open(tmp_path / "m.sqlite3")


def test_only_the_user_may_read_it(database):
    """What stands in it is what people said."""
    assert 0o600 == database._file.stat().st_mode & 0o777
