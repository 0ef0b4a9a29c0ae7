"""The store of record: every memory in one SQLite file, with the index of its words beside it.

SQLite comes with `apsw`: the one of the system is often too old to delete from an index without a trace.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, cast

import apsw

from hoshikage import Memory
from hoshikage.core.errors import InvalidRequest, MemoryNotFound, MemoryUnavailable
from hoshikage.plugins.memory.digests.rows import DigestRows
from hoshikage.plugins.memory.embedding.pending import Pending
from hoshikage.plugins.memory.embedding.rows import VectorRows
from hoshikage.plugins.memory.facts.superseding import Superseding
from hoshikage.plugins.memory.imported import Imported
from hoshikage.plugins.memory.index.records import IndexRecords
from hoshikage.plugins.memory.rows import COLUMNS, Row, hash_of, memory_of, owner_name
from hoshikage.plugins.memory.schema import prepare
from hoshikage.plugins.memory.statements import run
from hoshikage.plugins.memory.text import terms_of
from hoshikage.plugins.memory.words import NO_NUMBER, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hoshikage import Owner
    from hoshikage.plugins.memory.digests.rows import Source

BUSY_LIMIT_MS: Final = 5_000
PAGE: Final = 500
MOST_SAID: Final = 5_000


class Database:
    """One connection; its methods block, and are called by one thread at a time.

    Args:
        file: the SQLite file; it and its folder are made. See `open` for the errors.

    Attributes:
        words: the index of them.
        digests: what stands for which turns.
        vectors: of all embedders, as a whole.
        index: what is known of the vector indexes.
        imported: what was taken in from elsewhere.
    """

    @classmethod
    def open(cls, file: Path) -> Self:
        """Open the file, or make it.

        Raises:
            MemoryUnavailable: it cannot be opened, is no database, or one of a newer version.
        """
        try:
            return cls(file)
        except (OSError, apsw.Error) as error:
            raise MemoryUnavailable(
                f"{file} cannot be opened: {error}; look at its rights and its disk, or move it away to begin anew"
            ) from error

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = file
        self._connection = apsw.Connection(str(file))
        self._connection.set_busy_timeout(BUSY_LIMIT_MS)
        pragmas = "journal_mode = WAL; synchronous = FULL; foreign_keys = ON; secure_delete = ON; temp_store = MEMORY"
        for pragma in pragmas.split("; "):  # temporary files would keep texts that were forgotten
            self._connection.pragma(*pragma.split(" = "))
        file.chmod(0o600)
        self.words = Words(self._connection)
        self._facts = Superseding(self._connection)
        self.digests = DigestRows(self._connection)
        with self._transaction():
            prepare(self._connection, file)
            self._facts.prepare()
        self._pending = Pending(self._connection)
        self.vectors = VectorRows(self._connection)
        self.index = IndexRecords(self._connection)
        self.imported = Imported(self._connection)
        with contextlib.suppress(apsw.BusyError):  # somebody reads, so this is not the first to open it
            self.empty_log()  # a process that was killed may have left in it what it was to forget

    @property
    def connection(self) -> apsw.Connection:
        """For what looks at the file as a whole; see `checking`."""
        return self._connection

    def close(self, *, untouched: bool = False) -> None:
        """Close the file. Idempotent.

        Args:
            untouched: leave file and log as they are, instead of bringing what is in the log into the file.
        """
        if untouched:
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close()

    # --- writing ---

    def write(self, owner: Owner, memories: Iterable[Memory]) -> list[Memory]:
        """Write memories, all or none; they are on the disk when this returns.

        Returns:
            Those that were new or hold again, with their ids. The same text in the same session is written once.
        """
        with self._transaction():
            space = self._space(owner, make=True)
            written = dict(row for memory in memories if (row := self._insert(space, memory)) is not None)
            self._drop_digests([*written, *self._facts.learn(space, written)])
        return list(written.values())

    def edit(self, owner: Owner, memory_id: str, text: str) -> Memory:
        """Replace a text; the old one leaves no trace.

        Raises:
            MemoryNotFound: the owner has no such memory.
            InvalidRequest: another one of the same session says this already.
        """
        with self._transaction():
            row = self._row(owner, memory_id)
            self._refuse_twice(row, text)
            terms, space = terms_of(text), self._space(owner)
            self.words.remove([row.number])
            self._run("DELETE FROM vector WHERE memory = ?", row.number)
            self._run("UPDATE space SET deletions = deletions + 1 WHERE number = ?", space)
            self.words.add(row.number, space, terms)
            self._run(
                "UPDATE memory SET text = ?, hash = ?, length = ? WHERE number = ?",
                *(text, hash_of(text), len(terms), row.number),
            )
            marked = self._facts.learn(space, {row.number: replace(row.memory, text=text)})
            self._drop_digests([row.number, *marked])
        self.empty_log()
        return self._row(owner, memory_id).memory

    def forget(self, owner: Owner, memory_id: str | None = None) -> int:
        """Delete one memory, or all of an owner; nothing of them stays in the file or beside it.

        Returns:
            How many went.

        Raises:
            MemoryNotFound: the owner has no such memory.
        """
        with self._transaction():
            space = self._space(owner)
            numbers = [self._row(owner, memory_id).number] if memory_id is not None else self._numbers(space)
            slots = self._facts.slots_of(numbers)
            self.digests.refuse(numbers)
            self._drop_digests(numbers)
            self._delete(numbers)
            self._drop_digests(self._facts.settle(space, slots))
            self._run("UPDATE space SET deletions = deletions + 1 WHERE number = ?", space)
            if memory_id is None:
                self._run("DELETE FROM space WHERE number = ?", space)
        self.empty_log()
        return len(numbers)

    def read_claims(self, *, limit: int) -> int:
        """Read what memories from before say that can change, a few at a time; see `Superseding`. Returns how many."""
        with self._transaction():
            count, marked = self._facts.read_more(limit)
            for numbers in marked:
                self._drop_digests(numbers)
        return count

    def read_words(self) -> None:
        """Make the index of words anew if it was made by other rules than today's."""
        if self.words.catch_up():
            self.empty_log()

    def write_digest(self, space: int, session: str, sources: Sequence[Source], text: str) -> bool:
        """Write what stands for the turns of a conversation, in place of what stood for them before.

        Returns:
            Whether it was written; not, where the conversation is another one by now.
        """
        with self._transaction():
            if not self.digests.unchanged(space, session, sources):
                return False
            self._drop_digests([source.number for source in sources])
            said_at = max(source.said_at for source in sources)
            # In a session of its own: it stands beside no turn, and two conversations may have the same.
            memory = Memory("", text, said_at, "digest", "digest", f"digest {session}")
            row = self._insert(space, memory) if text else None
            self.digests.link(row[0] if row is not None else None, sources)
        return True

    # --- vectors ---

    def embedder(self, identity: str) -> int:
        """The number of an embedder; vectors of two are never mixed."""
        with self._transaction():
            self._run("INSERT INTO embedder (identity) VALUES (?) ON CONFLICT DO NOTHING", identity)
        ((number,),) = self._run("SELECT number FROM embedder WHERE identity = ?", identity)
        return int(number)

    def unembedded(self, embedder: int, *, limit: int) -> list[tuple[int, str]]:
        """Memories without a vector of this embedder, the newest first: number and text. See `Pending`."""
        return self._pending.newest(embedder, limit=limit)

    def put_vectors(self, embedder: int, vectors: Iterable[tuple[int, str, bytes]]) -> int:
        """Write vectors: number of the memory, the text that was embedded, and the numbers as 16-bit floats.

        One whose memory was edited or forgotten meanwhile is left out. Returns how many were written.
        """
        with self._transaction():
            return sum(
                len(
                    self._run(
                        "INSERT INTO vector (space, embedder, memory, numbers) SELECT space, ?, number, ? FROM memory "
                        "WHERE number = ? AND text = ? ON CONFLICT DO NOTHING RETURNING number",
                        *(embedder, numbers, number, text),
                    )
                )
                for number, text, numbers in vectors
            )

    def vector_state(self, owner: Owner, embedder: int) -> tuple[tuple[int, int], int]:
        """What changes whenever an owner deletes or edits something, and the number of the newest vector."""
        space = self._space(owner)
        deletions = next((n for (n,) in self._run("SELECT deletions FROM space WHERE number = ?", space)), 0)
        ((newest,),) = self._run("SELECT max(number) FROM vector WHERE space = ? AND embedder = ?", space, embedder)
        return (space, int(deletions)), int(newest or 0)

    def vectors_after(self, owner: Owner, embedder: int, number: int) -> list[tuple[int, bytes]]:
        """The vectors of an owner from a number on: the number of each memory, and its numbers."""
        query = "SELECT memory, numbers FROM vector WHERE space = ? AND embedder = ? AND number > ?"
        return cast("list[tuple[int, bytes]]", self._run(query, self._space(owner), embedder, number))

    # --- reading ---

    def newest(self, owner: Owner, *, limit: int) -> list[Memory]:
        """The last memories, the newest first."""
        query = f"SELECT {COLUMNS} FROM memory WHERE space = ? ORDER BY said_at DESC, number DESC LIMIT ?"  # noqa: S608
        return [memory_of(row) for row in self._run(query, self._space(owner), limit)]

    def oldest_after(self, owner: Owner, number: int, *, limit: int = PAGE) -> list[Row]:
        """The next page in the order of writing, from a number on."""
        return self._rows("space = ? AND number > ? ORDER BY number LIMIT ?", self._space(owner), number, limit)

    def by_number(self, owner: Owner, numbers: Sequence[int]) -> list[Row]:
        """Those of an owner with these numbers, in the order of writing."""
        marks = ",".join("?" * len(numbers))  # and by the plus not by reading all that the owner has
        return self._rows(f"+space = ? AND number IN ({marks}) ORDER BY number", self._space(owner), *numbers)

    def said_between(self, owner: Owner, begin: float, end: float, *, limit: int = MOST_SAID) -> list[int]:
        """The numbers of what was said from a moment until before another one, by time; the last ones, if too many."""
        query = (
            "SELECT number FROM memory WHERE space = ? AND said_at >= ? AND said_at < ? ORDER BY said_at DESC LIMIT ?"
        )
        return [number for (number,) in reversed(self._run(query, self._space(owner), begin, end, limit))]

    def matching(
        self, owner: Owner, terms: Sequence[str], *, limit: int, between: tuple[int, int] = (0, NO_NUMBER)
    ) -> list[Row]:
        """The memories of an owner that have any of these terms, the best first; of two numbers and those between."""
        ranks = self.words.matching(self._space(owner), terms, limit=limit, between=between)
        return sorted(self.by_number(owner, list(ranks)), key=lambda row: (ranks[row.number], row.number))

    def beside(self, owner: Owner, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
        """The numbers of what was written just before and after each, in the same session; 0 where there is nothing.

        What is in no session is left out: notes were not said one after the other.
        """
        marks = ",".join("?" * len(numbers))
        other = "FROM memory o WHERE o.space = m.space AND o.session = m.session AND o.number"
        found = self._run(
            f"SELECT number, (SELECT max(number) {other} < m.number), (SELECT min(number) {other} > m.number) "  # noqa: S608
            f"FROM memory m WHERE +space = ? AND session != '' AND number IN ({marks})",
            *(self._space(owner), *numbers),
        )
        return {number: (before or 0, after or 0) for number, before, after in found}

    def newer(self, numbers: Sequence[int]) -> dict[int, list[int]]:
        """For memories that say what is no longer so: the numbers of those that say how it is."""
        return self._facts.newer(numbers)

    def endings(self, owner: Owner) -> list[tuple[int, str]]:
        """What an owner said has ended: the numbers of the memories, and the names of it, normalised."""
        return self._facts.endings(self._space(owner))

    def counts(self, owner: Owner, terms: Iterable[str]) -> dict[str, int]:
        """In how many memories of an owner each term is."""
        return self.words.counts(self._space(owner), terms)

    def size(self, owner: Owner) -> tuple[int, float]:
        """How many memories an owner has, and their mean length in terms."""
        ((count, mean),) = self._run("SELECT count(*), avg(length) FROM memory WHERE space = ?", self._space(owner))
        return int(count), float(mean or 0.0)

    def stats(self, owner: Owner | None = None) -> tuple[int, int, int, int]:
        """Memories, characters and owners, of one or of all; and the bytes of the whole file with its log."""
        where, values = ("WHERE space = ?", [self._space(owner)]) if owner is not None else ("", [])
        query = f"SELECT count(*), coalesce(sum(length(text)), 0), count(DISTINCT space) FROM memory {where}"  # noqa: S608
        ((memories, characters, owners),) = self._run(query, *values)
        files = [self._file, self._file.with_name(f"{self._file.name}-wal")]
        return memories, characters, owners, sum(f.stat().st_size for f in files if f.exists())

    # --- inside ---

    def _insert(self, space: int, memory: Memory) -> tuple[int, Memory] | None:
        written = replace(memory, id=f"mem_{secrets.token_hex(12)}")
        terms = terms_of(memory.text)
        inserted = self._run(
            "INSERT INTO memory (id, space, session, said_at, role, kind, text, hash, request, length) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (space, session, hash) DO NOTHING RETURNING number",
            *(written.id, space, memory.session, memory.said_at, memory.role, memory.kind, memory.text),
            *(hash_of(memory.text), memory.request_id, len(terms)),
        )
        for (number,) in inserted:
            self.words.add(number, space, terms)
            return number, written
        return self._facts.said_again(space, memory, hash_of(memory.text))

    def _drop_digests(self, sources: Sequence[int]) -> None:
        """What stands for memories of an owner that change or go must not go on telling of them."""
        digests = sorted(set(self.digests.of_sources(sources).values()))
        if digests:
            space = "(SELECT space FROM memory WHERE number = ?)"
            self._run(f"UPDATE space SET deletions = deletions + 1 WHERE number = {space}", digests[0])  # noqa: S608
            self.digests.unlink(digests)
            self._delete(digests)

    def _delete(self, numbers: Sequence[int]) -> None:
        anew = self.words.is_faster_anew(len(numbers))
        if not anew:
            self.words.remove(numbers)
        for number in numbers:
            self._run("DELETE FROM memory WHERE number = ?", number)
        if anew:
            self.words.make_anew(lambda _: None)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._run("ROLLBACK")
            raise

    def _space(self, owner: Owner, *, make: bool = False) -> int:
        """The number of an owner's space; 0 where there is none yet."""
        name = owner_name(owner)
        if make:
            self._run("INSERT INTO space (owner) VALUES (?) ON CONFLICT DO NOTHING", name)
        return next((int(n) for (n,) in self._run("SELECT number FROM space WHERE owner = ?", name)), 0)

    def _numbers(self, space: int) -> list[int]:
        return [number for (number,) in self._run("SELECT number FROM memory WHERE space = ?", space)]

    def _row(self, owner: Owner, memory_id: str) -> Row:
        for row in self._rows("space = ? AND id = ?", self._space(owner), memory_id):
            return row
        raise MemoryNotFound(memory_id)

    def _rows(self, where: str, *values: object) -> list[Row]:
        query = f"SELECT number, length, {COLUMNS} FROM memory WHERE {where}"  # noqa: S608  our own words
        return [Row(row[0], memory_of(row[2:]), row[1]) for row in self._run(query, *values)]

    def _refuse_twice(self, row: Row, text: str) -> None:
        query = (
            "SELECT o.id FROM memory m JOIN memory o ON o.space = m.space AND o.session = m.session "
            "WHERE m.number = ? AND o.number != m.number AND o.hash = ?"
        )
        for (other,) in self._run(query, row.number, hash_of(text)):
            raise InvalidRequest(
                f"the memory {other} of the same conversation says this already; forget one of the two", param="text"
            )

    def empty_log(self) -> None:
        """Deleted bytes are overwritten in the file; the log beside it still has them until it is emptied."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return run(self._connection, statement, *values)
