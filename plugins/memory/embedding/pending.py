"""Which memories still wait for a vector: found once after the start, and kept up to date by SQLite itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import apsw

# Temporary tables are this connection's own, roll back with everything else, and are gone with the process: after a
# killed one, the rows themselves say again what is missing. Numbers alone are in them, no text.
TABLES: Final = """
CREATE TEMP TABLE watched (embedder INTEGER PRIMARY KEY);
CREATE TEMP TABLE pending (embedder INTEGER, memory INTEGER, PRIMARY KEY (embedder, memory)) WITHOUT ROWID;
CREATE TEMP TRIGGER memory_written AFTER INSERT ON main.memory BEGIN
  INSERT INTO pending SELECT embedder, new.number FROM watched;
END;
CREATE TEMP TRIGGER memory_forgotten AFTER DELETE ON main.memory BEGIN
  DELETE FROM pending WHERE embedder IN (SELECT embedder FROM watched) AND memory = old.number;
END;
CREATE TEMP TRIGGER vector_written AFTER INSERT ON main.vector BEGIN
  DELETE FROM pending WHERE embedder = new.embedder AND memory = new.memory;
END;
CREATE TEMP TRIGGER vector_deleted AFTER DELETE ON main.vector BEGIN
  INSERT INTO pending SELECT embedder, memory.number FROM watched, main.memory
  WHERE embedder = old.embedder AND memory.number = old.memory;
END;
"""


class Pending:
    """The memories that embedders have not seen. Only for the connection that writes: others' changes are not seen.

    Args:
        connection: to a file that has its tables already. Nothing is asked of it until an embedder asks.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._made = False

    def newest(self, embedder: int, *, limit: int) -> list[tuple[int, str]]:
        """Memories without a vector of this embedder, the newest first: number and text."""
        self._watch(embedder)
        query = (
            "SELECT number, text FROM pending JOIN main.memory ON number = pending.memory WHERE embedder = ? "
            "ORDER BY pending.memory DESC LIMIT ?"
        )
        return cast("list[tuple[int, str]]", self._connection.execute(query, (embedder, limit)).fetchall())

    def _watch(self, embedder: int) -> None:
        """Look through all rows, the first time that an embedder asks."""
        if not self._made:
            self._connection.execute(TABLES)
            self._made = True
        with self._connection:
            for _ in self._connection.execute("INSERT OR IGNORE INTO watched VALUES (?) RETURNING 1", (embedder,)):
                self._connection.execute(
                    "INSERT INTO pending SELECT ?1, number FROM main.memory m WHERE NOT EXISTS "
                    "(SELECT 1 FROM main.vector v WHERE v.memory = m.number AND v.embedder = ?1)",
                    (embedder,),
                )
