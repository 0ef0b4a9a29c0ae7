"""The store's own search on a collection of texts, without a server around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.candidates import Meaning, candidates, first_look
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.recalling import choose, ranked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.memory.data import Text
    from hoshikage.plugins.memory.candidates import Candidates
    from hoshikage.plugins.memory.ranking import Weights
    from hoshikage.plugins.memory.recalling import Bounds

OWNER = Owner("", "benchmark")
PER_WRITE = 500


class OurMemory:
    """The texts of one owner in a store of their own; the vectors come from outside."""

    def __init__(self, file: Path, texts: Sequence[Text], vectors: NDArray[np.float32], related_from: float) -> None:
        self._database = Database.open(file)
        self._related_from = related_from
        self._vectors = vectors
        self._ids: dict[str, str] = {}
        for start in range(0, len(texts), PER_WRITE):
            part = texts[start : start + PER_WRITE]
            memories = [Memory("", t.text, t.said_at, t.role, t.kind, t.session) for t in part]
            written = iter(self._database.write(OWNER, memories))
            memory = next(written, None)
            for text in part:  # the same text in the same session is written once
                if memory is not None and (memory.text, memory.session) == (text.text, text.session):
                    self._ids[memory.id] = text.id
                    memory = next(written, None)
        self._numbers, self._rows = self._places(texts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def candidates(
        self, question: str, vector: NDArray[np.float32] | None, now: datetime | None = None
    ) -> Candidates | None:
        """What is ranked for a question; without its vector, by words alone; without `now`, no time is understood."""
        meaning = None
        if vector is not None:
            meaning = Meaning(self._numbers, self._vectors[self._rows] @ vector, self._related_from)
        return candidates(self._database, OWNER, first_look(self._database, OWNER, question, now=now), meaning)

    def order(self, found: Candidates | None, weights: Weights) -> list[str]:
        """The ids of the texts, the best first."""
        return [self._ids[item.memory.id] for item in ranked(found, weights)] if found is not None else []

    def chosen(self, found: Candidates | None, weights: Weights, bounds: Bounds) -> list[str]:
        """The ids of what would go into a prompt, or be shown to who searches."""
        items = ranked(found, weights) if found is not None else []
        return [self._ids[item.memory.id] for item in choose(items, bounds)]

    def _places(self, texts: Sequence[Text]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the memories, ascending, and the row of the vector of each."""
        row_of = {text.id: n for n, text in enumerate(texts)}
        numbers, rows, last = [], [], 0
        while page := self._database.oldest_after(OWNER, last):
            numbers += [row.number for row in page]
            rows += [row_of[self._ids[row.memory.id]] for row in page]
            last = page[-1].number
        return np.array(numbers, np.int64), np.array(rows, np.int64)
