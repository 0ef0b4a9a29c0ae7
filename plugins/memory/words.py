"""The index of words: which memory has which terms, apart for every owner's space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hoshikage import MemoryCheck
from hoshikage.plugins.memory.rows import indexed
from hoshikage.plugins.memory.statements import pages, run
from hoshikage.plugins.memory.text import RULES, terms_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import apsw

ONE_BY_ONE: Final = 200  # to delete more at once, the whole index is merged, which takes about as long
NO_NUMBER: Final = 2**62  # greater than every number
MEMORIES: Final = "SELECT number, space, text FROM memory WHERE number > ? ORDER BY number LIMIT ?"


class Words:
    """An FTS5 table that keeps no texts. For the thread of its connection.

    To take a memory out of it, its terms are read again from its text, by the rules that they were written by: so all
    of it is made anew when these change.

    Args:
        connection: to the file.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, number: int, space: int, terms: Sequence[str]) -> None:
        """The terms of a memory that is new, or was taken out."""
        self._run("INSERT INTO term (rowid, terms) VALUES (?, ?)", number, indexed(space, terms))

    def remove(self, numbers: Sequence[int]) -> None:
        """Take memories out while they still have their rows and their texts; no byte of them stays in the index.

        In the caller's transaction. See `is_faster_anew`.
        """
        self.catch_up()
        at_once = len(numbers) > ONE_BY_ONE
        if at_once:  # marks beside the entries, until all is merged, instead of many changes to every page
            self._set_secure_delete(on=False)
        for number in numbers:
            for space, text in self._run("SELECT space, text FROM memory WHERE number = ?", number):
                terms = indexed(space, terms_of(text))
                self._run("INSERT INTO term (term, rowid, terms) VALUES ('delete', ?, ?)", number, terms)
        if at_once:
            self._merge()
            self._set_secure_delete(on=True)

    def is_faster_anew(self, count: int) -> bool:
        """Whether so many memories are more than those that stay: then these are read again sooner than those are."""
        return count > ONE_BY_ONE and 2 * count > self._run("SELECT count(*) FROM memory")[0][0]

    def matching(
        self, space: int, terms: Sequence[str], *, limit: int, between: tuple[int, int] = (0, NO_NUMBER)
    ) -> dict[int, float]:
        """The memories of a space that have any of these terms, the best first: number and rank, the less the better.

        Args:
            space: of the owner.
            terms: without doubles.
            limit: of the memories.
            between: two numbers; of these and those between.
        """
        if not terms or not space:
            return {}
        match = " OR ".join(f'"{space}x{term}"' for term in terms)
        query = "SELECT rowid, rank FROM term WHERE term MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rank LIMIT ?"
        return dict(self._run(query, match, *between, limit))

    def counts(self, space: int, terms: Iterable[str]) -> dict[str, int]:
        """In how many memories of a space each term is."""
        wanted = {f"{space}x{term}": term for term in terms}
        marks = ",".join("?" * len(wanted))
        found = dict(self._run(f"SELECT term, doc FROM term_count WHERE term IN ({marks})", *wanted))  # noqa: S608
        return {term: found.get(name, 0) for name, term in wanted.items()}

    def catch_up(self) -> bool:
        """Make the index anew if it was made by other rules than today's. Returns whether it was."""
        if self._run("SELECT 1 FROM progress WHERE name = 'terms' AND number = ?", RULES):
            return False
        self.make_anew(lambda _: None)
        return True

    def make_anew(self, say: Callable[[MemoryCheck], None]) -> None:
        """Read the terms of all memories again, all or nothing; readers have the old index until it is done."""
        ((total,),) = self._run("SELECT count(*) FROM memory")
        done = 0
        with self._connection:
            self._run("INSERT INTO term (term) VALUES ('delete-all')")
            for page in pages(self._connection, MEMORIES):
                rows = [(number, space, terms_of(text)) for number, space, text in page]
                for number, space, terms in rows:
                    self.add(number, space, terms)
                self._connection.executemany(
                    "UPDATE memory SET length = ?1 WHERE number = ?2 AND length != ?1",
                    [(len(terms), number) for number, _, terms in rows],
                )
                done += len(page)
                say(MemoryCheck("words", done, total))
            self._merge()
            self._run("INSERT OR REPLACE INTO progress (name, number) VALUES ('terms', ?)", RULES)

    def _merge(self) -> None:
        self._run("INSERT INTO term (term) VALUES ('optimize')")

    def _set_secure_delete(self, *, on: bool) -> None:
        """Whether a deletion changes the entries themselves; FTS5 keeps it in the file."""
        self._run("INSERT INTO term (term, rank) VALUES ('secure-delete', ?)", int(on))

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return run(self._connection, statement, *values)
