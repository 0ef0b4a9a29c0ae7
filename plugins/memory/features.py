"""What a ranking must know of each candidate by itself and of what stands beside it, worked out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.lexical import score
from hoshikage.plugins.memory.text import asks
from hoshikage.plugins.memory.times.asked import nearness
from hoshikage.plugins.memory.times.candidates import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.database import Database
    from hoshikage.plugins.memory.lexical import Statistics
    from hoshikage.plugins.memory.rows import Row
    from hoshikage.plugins.memory.times.asked import AskedTime

READ_TEXTS: Final = 40  # for words that tell when; to read all candidates takes longer than to find them
ALONE: Final = (0, 0)


class Features:
    """Of candidates and their neighbours, as they become known: some while the embedder is still at the question.

    Args:
        statistics: of the question's words.
        asked: what the question says of when; `None` where it does not.
    """

    def __init__(self, statistics: Statistics, asked: AskedTime | None) -> None:
        self._statistics = statistics
        self._asked = asked
        self._rows: dict[int, Row] = {}
        self._beside: dict[int, tuple[int, int]] = {}
        self._words: dict[int, tuple[float, float]] = {}  # BM25, and the share of the question
        self._asking: dict[int, bool] = {}
        self._times: dict[int, float] = {}  # of those whose texts were read for it

    def look_at(self, database: Database, owner: Owner, rows: Sequence[Row]) -> None:
        """Learn what is not known yet of some candidates and of what was said just before and after each."""
        new = [row for row in rows if row.number not in self._beside]
        beside = database.beside(owner, [row.number for row in new])
        self._beside |= {row.number: beside.get(row.number, ALONE) for row in new}
        self._rows |= {row.number: row for row in new}
        near = {number for pair in beside.values() for number in pair if number}
        self._rows |= {row.number: row for row in database.by_number(owner, sorted(near - self._rows.keys()))}
        unknown = [self._rows[number] for number in self._rows.keys() - self._words.keys()]
        words = score([row.plain for row in unknown], [row.length for row in unknown], self._statistics)
        self._words |= {row.number: pair for row, pair in zip(unknown, zip(*words.tolist(), strict=True), strict=True)}
        self._asking |= {row.number: asks(row.memory.text) for row in unknown}

    def with_neighbours(self, rows: Sequence[Row]) -> tuple[list[Row], NDArray[np.int64]]:
        """Candidates that were looked at, and what stands beside them, since answers stand beside what was asked.

        Returns:
            All of them, and for each the places of the two beside it; -1 where they are no candidates.
        """
        own = {row.number for row in rows}
        near = sorted({n for row in rows for n in self._beside[row.number] if n} - own)
        known = [*rows, *(self._rows[n] for n in near if n in self._rows)]
        place = {row.number: n for n, row in enumerate(known)}
        beside = np.full((len(known), 2), -1, dtype=np.int64)
        for row in rows:
            for side, other in enumerate(self._beside[row.number]):
                if (n := place.get(other)) is not None:
                    beside[place[row.number], side], beside[n, 1 - side] = n, place[row.number]
        return known, beside

    def words(self, rows: Iterable[Row]) -> NDArray[np.float32]:
        """BM25 of each, and its share of the question: shape (2, rows)."""
        return np.array([self._words[row.number] for row in rows], dtype=np.float32).T

    def asking(self, rows: Iterable[Row]) -> NDArray[np.bool_]:
        """Which of them ask something themselves."""
        return np.array([self._asking[row.number] for row in rows], dtype=np.bool_)

    def times(self, rows: Sequence[Row]) -> NDArray[np.float32] | None:
        """How well each fits the days that are asked for, 0 to 1, the first ones by their words too."""
        asked = self._asked
        if asked is None:
            return None
        found = [
            self._read(row, asked) if n < READ_TEXTS else nearness("", moment_of(row, asked), asked)
            for n, row in enumerate(rows)
        ]
        return np.array(found, dtype=np.float32)

    def _read(self, row: Row, asked: AskedTime) -> float:
        if row.number not in self._times:
            self._times[row.number] = nearness(row.plain, moment_of(row, asked), asked)
        return self._times[row.number]
