"""Filling a store fast: what is written is what a server finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.memory.filling import OWNER, facts, turns, write
from hoshikage.plugins.memory.database import Database


def test_facts_differ_and_questions_fit_them():
    """No question has two answers."""
    found = facts(60)

    assert 60 == len({fact for fact, _ in found}) == len({question for _, question in found})
    for fact, question in found:
        assert " ".join(question.split()[3:6]) in fact


def test_turns_are_the_same_every_time_and_all_differ():
    """A store that is filled again is the same store."""
    first, second = list(turns(100)), list(turns(100))

    assert first == second
    assert 100 == len({turn.text for turn in first})
    assert 5 == len({turn.session for turn in first})


def test_every_turn_has_a_vector_of_length_one(tmp_path: Path):
    """Under the number of the embedder that the server will ask for."""
    file = tmp_path / "m.sqlite3"
    database = Database.open(file)
    number = database.embedder("some model")
    database.close()
    write(file, number, 8, count=1_100)
    database = Database.open(file)
    vectors = [np.frombuffer(blob, np.float16) for _, blob in database.vectors_after(OWNER, number, 0)]
    left = database.unembedded(number, limit=1)
    database.close()

    assert (1_100, []) == (len(vectors), left)
    assert np.allclose([np.linalg.norm(v.astype(np.float32)) for v in vectors], 1, atol=1e-2)
