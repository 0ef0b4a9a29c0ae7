"""What the database knows of the vector indexes that are made from it: which there are, and what is in each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw


@dataclass(frozen=True, slots=True)
class Space:
    """An owner's space, and its vectors of one embedder.

    Attributes:
        number: see `Database`; never used again.
        owner: the hashed name.
        deletions: how often something was deleted or edited.
        vectors: how many there are.
        newest: the number of the last one.
    """

    number: int
    owner: str
    deletions: int
    vectors: int
    newest: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """A collection that is complete: of what, and how to know it again.

    Attributes:
        space: whose vectors are in it.
        embedder: whose vectors these are.
        deletions: of the space when it was made; with any other number it is stale.
        newest: the number of the last vector that is in it.
        count: of its vectors.
        collection: its name, which tells nothing.
        strays: memories that are in it and that it does not find; they are looked at one by one.
        sample: some of its memories, wherever they lie: they tell how far away the rest of them is.
        seal: see `Shelf.seal`.
    """

    space: int
    embedder: int
    deletions: int
    newest: int
    count: int
    collection: str
    strays: tuple[int, ...] = ()
    sample: tuple[int, ...] = ()
    seal: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """As `Database.vector_state` has it."""
        return self.space, self.deletions

    def replaces(self, other: Indexed) -> bool:
        """Whether both are of the same vectors, so that one of them is enough."""
        return (self.space, self.embedder) == (other.space, other.embedder)


class IndexRecords:
    """The tables of the indexes. For the thread of its connection.

    Args:
        connection: to a file that has the tables of memories already.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def identity(self) -> str:
        """What tells this store's collections from those of others on one Chroma server."""
        return str(self._run("SELECT identity FROM store")[0][0])

    def indexed(self) -> list[Indexed]:
        """Every collection that was completed, stale ones too."""
        columns = "space, embedder, deletions, newest, count, collection, strays, sample, seal"
        return [
            Indexed(space, embedder, deletions, newest, count, name, _numbers(strays), _numbers(sample), seal)
            for space, embedder, deletions, newest, count, name, strays, sample, seal in self._run(
                f"SELECT {columns} FROM vector_index"  # noqa: S608  our own words
            )
        ]

    def state(self) -> tuple[int, ...]:
        """What changes whenever a vector comes, or anything is deleted or edited; cheap to ask."""
        (row,) = self._run("SELECT (SELECT max(number) FROM vector), count(*), sum(deletions), max(number) FROM space")
        return tuple(int(number or 0) for number in row)

    def spaces(self, embedder: int) -> list[Space]:
        """Every space that has vectors of an embedder. Reads an entry of an index for each vector."""
        rows = self._run(
            "SELECT s.number, s.owner, s.deletions, count(*), max(v.number) FROM vector v JOIN space s "
            "ON s.number = v.space WHERE v.embedder = ? GROUP BY s.number",
            embedder,
        )
        return [Space(*row) for row in rows]

    def versions(self) -> set[tuple[int, int]]:
        """The version of every space: its number, and its deletions."""
        return {(number, deletions) for number, deletions in self._run("SELECT number, deletions FROM space")}

    def mark(self, row: Indexed) -> bool:
        """Say that a collection is complete; `False` if the space has lost something since, so that it is stale."""
        return bool(
            self._run(
                "INSERT OR REPLACE INTO vector_index (space, embedder, deletions, newest, count, collection, strays, "
                "sample, seal) SELECT number, ?, deletions, ?, ?, ?, ?, ?, ? FROM space "
                "WHERE number = ? AND deletions = ? RETURNING 1",
                *(row.embedder, row.newest, row.count, row.collection, json.dumps(row.strays)),
                *(json.dumps(row.sample), row.seal, *row.version),
            )
        )

    def unmark(self, collection: str) -> None:
        """Forget a collection; its files have gone before."""
        self._run("DELETE FROM vector_index WHERE collection = ?", collection)

    def page(
        self, space: int, embedder: int, *, after: int, up_to: int, size_bytes: int, limit: int
    ) -> list[tuple[int, int, bytes]]:
        """The next vectors of a space that have the right size: number, memory and bytes."""
        return cast(
            "list[tuple[int, int, bytes]]",
            self._run(
                "SELECT number, memory, numbers FROM vector WHERE space = ? AND embedder = ? AND number > ? "
                "AND number <= ? AND length(numbers) = ? ORDER BY number LIMIT ?",
                *(space, embedder, after, up_to, size_bytes, limit),
            ),
        )

    def vectors_of(
        self, space: int, embedder: int, memories: Sequence[int], *, size_bytes: int
    ) -> list[tuple[int, bytes]]:
        """The vectors of some memories, as far as they are of this space: memory and bytes, by memory."""
        marks = ",".join("?" * len(memories))
        return cast(
            "list[tuple[int, bytes]]",
            self._run(
                f"SELECT memory, numbers FROM vector WHERE memory IN ({marks}) AND embedder = ? AND space = ? "  # noqa: S608
                "AND length(numbers) = ? ORDER BY memory",
                *(*memories, embedder, space, size_bytes),
            ),
        )

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return cast("list[tuple[Any, ...]]", self._connection.execute(statement, values or None).fetchall())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(json.loads(text))
