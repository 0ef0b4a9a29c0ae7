"""Digests in the database: which conversations want one, and which digest stands for which turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from hoshikage.plugins.memory.statements import among, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

LEAST_TURNS: Final = 4
LEAST_TERMS: Final = 200  # shorter conversations are as easily recalled turn by turn


@dataclass(frozen=True, slots=True)
class Source:
    """A turn of a conversation that wants a digest.

    Attributes:
        superseded: it says what is no longer so, which a digest leaves out.
    """

    number: int
    role: str
    text: str
    said_at: float
    superseded: bool


class DigestRows:
    """The links between digests and their sources, within the caller's transactions.

    Sources whose digest is `NULL` want none, until something new is said in their conversation: it was forgotten by
    hand, or there was nothing to make one of.

    Args:
        connection: to the tables.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def wanted(self, before: float, *, limit: int) -> list[tuple[int, str]]:
        """Spaces and sessions of long conversations that ended before a moment, and have no digest."""
        return cast(
            "list[tuple[int, str]]",
            self._run(
                "SELECT m.space, m.session FROM memory m LEFT JOIN digest_source d ON d.source = m.number "
                "WHERE m.session != '' AND m.kind = 'turn' GROUP BY m.space, m.session HAVING max(m.said_at) < ? "
                "AND sum(d.source IS NULL) > 0 AND count(*) >= ? AND sum(m.length) >= ? ORDER BY max(m.number) LIMIT ?",
                *(before, LEAST_TURNS, LEAST_TERMS, limit),
            ),
        )

    def sources(self, space: int, session: str) -> list[Source]:
        """The turns of a conversation, in the order of writing."""
        query = (
            "SELECT number, role, text, said_at, superseded_by FROM memory WHERE space = ? AND session = ? "
            "AND kind = 'turn' ORDER BY number"
        )
        rows = self._run(query, space, session)
        return [Source(number, role, text, said, bool(newer)) for number, role, text, said, newer in rows]

    def unchanged(self, space: int, session: str, sources: Sequence[Source]) -> bool:
        """Whether a conversation still is as it was read."""
        return self.sources(space, session) == list(sources)

    def link(self, digest: int | None, sources: Iterable[Source]) -> None:
        """Say which turns a digest stands for; `None` where they have nothing to make one of."""
        for source in sources:
            self._run("INSERT OR REPLACE INTO digest_source (source, digest) VALUES (?, ?)", source.number, digest)

    def of_sources(self, numbers: Sequence[int]) -> dict[int, int]:
        """The digests of turns: number of the turn, and of its digest."""
        query = "SELECT source, digest FROM digest_source WHERE digest IS NOT NULL AND source IN"
        return dict(self._among(query, numbers))

    def unlink(self, digests: Sequence[int]) -> None:
        """A digest goes since one of its sources changed: the conversation wants another one."""
        self._among("DELETE FROM digest_source WHERE digest IN", digests)

    def refuse(self, digests: Sequence[int]) -> None:
        """A digest was forgotten by hand: its sources want none."""
        self._among("UPDATE digest_source SET digest = NULL WHERE digest IN", digests)

    def _among(self, statement: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        return among(self._connection, statement, numbers)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return run(self._connection, statement, *values)
