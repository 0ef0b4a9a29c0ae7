"""Vectors of memories on a real file: found by meaning, kept apart, and never stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.index import vectors
from hoshikage.plugins.memory.index.vectors import Matrices

A, B = Owner("a"), Owner("b")
EAST, NORTH = np.eye(2, dtype=np.float32)


@pytest.fixture
def database(tmp_path: Path):
    found = Database.open(tmp_path / "m.sqlite3")
    yield found
    found.close()


@pytest.fixture
def matrices(database) -> Matrices:
    return Matrices(database, database.embedder("compass"), 2)


def told(database: Database, owner: Owner, *texts: str) -> list[Memory]:
    return database.write(owner, [Memory("", text, 1.0, session=text) for text in texts])


def embed(database: Database, direction: np.ndarray, *, embedder: str = "compass") -> int:
    """Give every memory without a vector this one."""
    number = database.embedder(embedder)
    rows = database.unembedded(number, limit=100)
    return database.put_vectors(number, [(n, text, direction.astype(np.float16).tobytes()) for n, text in rows])


def cosines(database: Database, matrices: Matrices, owner: Owner = A) -> dict[str, float]:
    numbers, found = matrices.cosines(owner, EAST)
    rows = database.by_number(owner, [int(n) for n in numbers])
    return {row.memory.text: float(cosine) for row, cosine in zip(rows, found, strict=True)}


def test_each_memory_has_its_cosine(database, matrices):
    """Also those that were written after the matrix was read."""
    told(database, A, "east")
    embed(database, EAST)
    first = cosines(database, matrices)
    told(database, A, "north")
    embed(database, NORTH)

    assert ({"east": 1.0}, {"east": 1.0, "north": 0.0}) == (first, cosines(database, matrices))


def test_owners_are_apart(database, matrices):
    """Whatever is near, only one's own is looked at."""
    told(database, A, "mine")
    told(database, B, "theirs")
    embed(database, EAST)

    assert ({"mine": 1.0}, {"theirs": 1.0}) == (cosines(database, matrices), cosines(database, matrices, B))


@pytest.mark.parametrize("change", ["forget", "edit", "forget all"])
def test_what_is_gone_is_not_found(database, matrices, change):
    """A matrix in memory does not outlive what it was made of."""
    written = told(database, A, "one", "two")
    embed(database, EAST)
    before = cosines(database, matrices)
    if change == "edit":
        database.edit(A, written[0].id, "three")
    else:
        database.forget(A, None if change == "forget all" else written[0].id)

    assert {"one", "two"} == before.keys()
    assert ({} if change == "forget all" else {"two": 1.0}) == cosines(database, matrices)


def test_a_new_space_is_not_taken_for_the_old_one(database, matrices):
    """Who forgets everything and begins anew finds what is new."""
    told(database, A, "one")
    embed(database, EAST)
    cosines(database, matrices)
    database.forget(A)
    told(database, A, "two")
    embed(database, NORTH)

    assert {"two": 0.0} == cosines(database, matrices)


def test_what_was_edited_while_it_was_embedded_gets_no_old_vector(database):
    """The vector is of another text, so the new one is embedded again."""
    (written,) = told(database, A, "one")
    number = database.embedder("compass")
    (row,) = database.unembedded(number, limit=1)
    database.edit(A, written.id, "two")

    assert 0 == database.put_vectors(number, [(*row, EAST.astype(np.float16).tobytes())])
    assert ["two"] == [text for _, text in database.unembedded(number, limit=1)]


def test_embedders_are_never_mixed(database, matrices):
    """Another model's vectors mean nothing to this one's."""
    told(database, A, "one")
    embed(database, EAST, embedder="another")

    assert {} == cosines(database, matrices)
    assert 1 == len(database.unembedded(database.embedder("compass"), limit=10))


def test_forgotten_vectors_leave_no_trace(database):
    """A vector tells what a text was about."""
    told(database, A, "one")
    secret = np.array([0.1234, 0.9876], dtype=np.float32)
    embed(database, secret)
    needle = secret.astype(np.float16).tobytes()
    files = [file for file in database._file.parent.iterdir() if file.is_file()]
    before = any(needle in file.read_bytes() for file in files)
    database.forget(A)

    assert before
    assert not any(needle in file.read_bytes() for file in files if file.exists())


def test_matrices_are_bounded(database, matrices, monkeypatch):
    """The least recently used go; the one in use stays, whatever its size."""
    for owner in (A, B):
        told(database, owner, "one")
    embed(database, EAST)
    monkeypatch.setattr(vectors, "KEPT_BYTES", 8)
    for owner in (A, B, A):
        cosines(database, matrices, owner)

    assert [A] == list(matrices._kept)
    assert replace(A) in matrices._kept
