"""How SQL is run: the rows of one statement, or of one over any count of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

AT_ONCE: Final = 1_000  # SQLite takes no more than some thousand values in one statement


def run(connection: apsw.Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    return cast("list[tuple[Any, ...]]", connection.execute(statement, values or None).fetchall())


def among(connection: apsw.Connection, statement: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
    """All rows of a statement that ends in `IN`, for any of these numbers."""
    return [
        row
        for begin in range(0, len(numbers), AT_ONCE)
        for some in [numbers[begin : begin + AT_ONCE]]
        for row in run(connection, f"{statement} ({','.join('?' * len(some))})", *some)
    ]
