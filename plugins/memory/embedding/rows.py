"""The vectors in the file by embedder: how many there are, and the end of those that nobody uses any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import apsw


class VectorRows:
    """Looks at the table of vectors as a whole.

    Args:
        connection: to a file that has its tables already.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def count(self, embedder: int, owner: str | None = None) -> int:
        """How many memories have a vector of this embedder: of one owner, by the name in the file, or of all."""
        if owner is None:
            return self._number("SELECT count(*) FROM vector WHERE embedder = ?", embedder)
        return self._number(
            "SELECT count(*) FROM vector WHERE space = (SELECT number FROM space WHERE owner = ?) AND embedder = ?",
            *(owner, embedder),
        )

    def missing(self, embedder: int) -> int:
        """How many memories have none."""
        return self._number("SELECT count(*) FROM memory") - self.count(embedder)

    def others(self, embedder: int) -> list[str]:
        """The identities of all other embedders that there are vectors of."""
        query = (
            "SELECT identity FROM embedder WHERE number != ? "
            "AND number IN (SELECT DISTINCT embedder FROM vector) ORDER BY number"
        )
        rows = self._connection.execute(query, (embedder,))
        return [identity for (identity,) in rows]

    def drop_others(self, embedder: int, *, limit: int) -> int:
        """Delete vectors of all other embedders. Their numbers stay theirs: nothing old can be taken for a new one's.

        Returns:
            How many vectors went, at most `limit`: what waits to write meanwhile comes in between.
        """
        with self._connection:
            self._connection.execute(
                "DELETE FROM vector WHERE number IN (SELECT number FROM vector WHERE embedder != ? LIMIT ?)",
                (embedder, limit),
            )
        return self._connection.changes()

    def _number(self, query: str, *values: Any) -> int:
        ((number,),) = self._connection.execute(query, values)
        return int(number)
