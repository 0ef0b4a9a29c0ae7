"""How SQL is run: the rows of one statement, or of one over any count of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

AT_ONCE: Final = 1_000  # SQLite takes no more than some thousand values in one statement
PAGE: Final = 500


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


def pages(connection: apsw.Connection, query: str, *values: object) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a query that begin with ascending numbers, some at a time.

    Args:
        connection: to the file.
        query: its first value is the number after which the rows begin, its last one how many at most.
        values: those between.
    """
    after = 0
    while rows := run(connection, query, after, *values, PAGE):
        yield rows
        after = rows[-1][0]
