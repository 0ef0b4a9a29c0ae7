"""What was taken in from elsewhere: by id, so that nothing comes twice, and nothing forgotten comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw


class Imported:
    """The ids. For the thread of its connection.

    Args:
        connection: to the file.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def known(self, ids: Iterable[str]) -> set[str]:
        """Those that were taken in before."""
        query = "SELECT 1 FROM imported WHERE id = ?"
        return {one for one in ids if self._connection.execute(query, (one,)).fetchone()}

    def note(self, ids: Iterable[str]) -> None:
        """These are here now."""
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO imported VALUES (?)", [(one,) for one in ids])
