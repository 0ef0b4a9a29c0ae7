"""Whether the store is as it should be, and letting go of what is not. Everything here blocks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

import apsw
import numpy as np

from hoshikage import MemoryCheck
from hoshikage.plugins.memory.index.vectors import HALF_BYTES, decoded
from hoshikage.plugins.memory.rows import indexed
from hoshikage.plugins.memory.statements import pages, run
from hoshikage.plugins.memory.text import terms_of
from hoshikage.plugins.memory.words import MEMORIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENTRIES: Final = 200_000  # of the index of words, between two signs of life
SAME_LENGTH: Final = 0.02  # how far a vector may be from length 1, as 16-bit numbers are
REBUILD: Final = "run `hoshikage memory rebuild`"
RESTORE: Final = "stop the server and restore a backup, or save what can be read with `hoshikage memory export`"
VECTORS: Final = "SELECT number, numbers FROM vector WHERE number > ? AND embedder = ? ORDER BY number LIMIT ?"


def check_file(connection: apsw.Connection) -> Iterator[MemoryCheck]:
    """Whether SQLite finds its file sound, and every row where it belongs."""
    yield MemoryCheck("file", 0, 1)
    found = [str(line) for (line,) in run(connection, "PRAGMA integrity_check")]
    wrong = [line for line in found if line != "ok" and "fts5" not in line.lower()]  # that one is `words`
    wrong += [f"{table} {row} is of nobody" for table, row, *_ in run(connection, "PRAGMA foreign_key_check")]
    yield MemoryCheck("file", 1, 1, len(wrong), f"{wrong[0]}: {RESTORE}" if wrong else "")


def check_words(connection: apsw.Connection) -> Iterator[MemoryCheck]:
    """Whether every memory is found by each of its terms, and by no other."""
    with connection:  # one state of the file for all of it
        total = _count(connection)
        yield MemoryCheck("words", 0, total)
        sums: Counter[int] = Counter()
        try:
            for _ in _add_up(connection, sums):
                yield MemoryCheck("words", 0, total)
        except apsw.Error as error:
            yield MemoryCheck("words", total, total, total, f"{error}: {REBUILD}")
            return
        looked_at = wrong = 0
        for page in pages(connection, MEMORIES):
            wrong += sum(
                sums.pop(number, 0) != sum(map(hash, indexed(space, terms_of(text)).split()))
                for number, space, text in page
            )
            looked_at += len(page)
            yield MemoryCheck("words", looked_at, total, wrong, REBUILD if wrong else "")
    if sums:
        yield MemoryCheck(
            "words", total, total, wrong + len(sums), f"the index knows memories that are gone: {REBUILD}"
        )


def check_vectors(connection: apsw.Connection, embedder: int, dimensions: int) -> Iterator[MemoryCheck]:
    """Whether every memory has a vector of the embedder, and each of these the right size and length."""
    total = _count(connection)
    looked_at, wrong, advice = 0, 0, ""
    yield MemoryCheck("vectors", 0, total)
    for page in pages(connection, VECTORS, embedder):
        looked_at, wrong = looked_at + len(page), wrong + len(bad_vectors(page, dimensions))
        yield MemoryCheck("vectors", looked_at, total, wrong, REBUILD if wrong else "")
    if looked_at < total:
        advice = f"{total - looked_at} get theirs in the background; the log says if the embedder cannot"
    yield MemoryCheck("vectors", looked_at, total, wrong, REBUILD if wrong else advice)


def drop_bad_vectors(connection: apsw.Connection, embedder: int, dimensions: int) -> int:
    """Delete vectors of a wrong size or length, so that their memories are embedded again. Returns how many went."""
    bad = [(n,) for page in pages(connection, VECTORS, embedder) for n in bad_vectors(page, dimensions)]
    with connection:
        of_its_space = "WHERE number = (SELECT space FROM vector WHERE number = ?)"
        connection.executemany(f"UPDATE space SET deletions = deletions + 1 {of_its_space}", bad)  # noqa: S608
        connection.executemany("DELETE FROM vector WHERE number = ?", bad)
    return len(bad)


def bad_vectors(page: Sequence[tuple[Any, ...]], dimensions: int) -> list[int]:
    """The numbers of those that are of another size, or not of length 1."""
    sized = [(number, blob) for number, blob in page if len(blob) == dimensions * HALF_BYTES]
    bad = {number for number, _ in page} - {number for number, _ in sized}
    lengths = np.linalg.norm(decoded([blob for _, blob in sized], dimensions), axis=1)
    fine = np.abs(lengths - 1) <= SAME_LENGTH  # never true of what is no number
    return sorted(bad | {number for (number, _), good in zip(sized, fine.tolist(), strict=True) if not good})


def _add_up(connection: apsw.Connection, sums: Counter[int]) -> Iterator[None]:
    """Add up the terms of each memory as the index has them, from its one end to the other.

    To ask for each memory by all its terms takes minutes where this takes seconds.
    """
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.term_entry USING fts5vocab('main', 'term', 'instance')")
    entries = cast("Iterator[tuple[str, int]]", connection.execute("SELECT term, doc FROM temp.term_entry"))
    for count, (term, number) in enumerate(entries, 1):
        sums[number] += hash(term)
        if count % ENTRIES == 0:
            yield


def _count(connection: apsw.Connection) -> int:
    return int(run(connection, "SELECT count(*) FROM memory")[0][0])
