"""From a question to the memories that help to answer it: found, ranked, folded, and bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage import Recalled
from hoshikage.plugins.memory.block import line_of, tokens_of
from hoshikage.plugins.memory.lexical import Statistics, score, telling
from hoshikage.plugins.memory.ranking import Weights, rank
from hoshikage.plugins.memory.text import normalised, terms_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.database import Database, Row

CANDIDATES: Final = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much comes back.

    Attributes:
        items: at most so many memories.
        tokens: that all of them together take; 0 is without bound.
        threshold: memories that share less with the question stay away, 0 to 1.
    """

    items: int
    tokens: int = 0
    threshold: float = 0.0


def search(database: Database, owner: Owner, question: str, weights: Weights) -> list[Recalled]:
    """Every candidate with its score, the best first."""
    count, mean_length = database.size(owner)
    terms = set(terms_of(question))
    if not count or not terms:
        return []
    statistics = Statistics(count, mean_length, database.counts(owner, terms))
    matching = database.matching(owner, telling(statistics), limit=CANDIDATES)
    if not matching:
        return []
    rows, beside = _with_neighbours(database, owner, matching)
    words, share = score([row.memory.text for row in rows], [row.length for row in rows], statistics)
    names = {session: number for number, session in enumerate(dict.fromkeys(row.memory.session for row in rows))}
    sessions = np.array([names[row.memory.session] for row in rows], dtype=np.int64)
    ranking = rank(words, None, beside=beside, sessions=sessions, weights=weights)
    found = [
        Recalled(
            row.memory,
            score=round(float(share[n]), 4),
            why={
                "words": round(float(ranking.lexical[n]), 4),
                "neighbour": round(float(ranking.neighbour[n]), 4),
                "session": round(float(ranking.session[n]), 4),
                "rank": round(float(ranking.scores[n]), 4),
            },
        )
        for n, row in enumerate(rows)
    ]
    return sorted(found, key=lambda item: (-item.why["rank"], -item.memory.said_at))


def choose(found: Sequence[Recalled], bounds: Bounds, *, present: Sequence[str] = ()) -> list[Recalled]:
    """What goes into a prompt, the best first.

    Args:
        found: candidates, the best first.
        bounds: see there.
        present: texts that stand in the prompt already.
    """
    if not found or max(item.score for item in found) < bounds.threshold:
        return []
    said = {normalised(text).strip() for text in present}
    chosen: list[Recalled] = []
    left = bounds.tokens
    for item in found:
        text = normalised(item.memory.text).strip()
        if text in said or item.memory.superseded_by:
            continue
        tokens = tokens_of(line_of(item))
        if bounds.tokens and tokens > left:
            continue
        said.add(text)
        left -= tokens
        chosen.append(item)
        if len(chosen) == bounds.items:
            break
    return chosen


def _with_neighbours(database: Database, owner: Owner, rows: Sequence[Row]) -> tuple[list[Row], NDArray[np.int64]]:
    """The candidates and what was said just before and after each, since answers stand beside what was asked.

    Returns:
        All of them, and for each the places of the two beside it; -1 where they are no candidates.
    """
    near = database.beside(owner, [row.number for row in rows])
    more = sorted({number for pair in near.values() for number in pair if number} - near.keys())
    known = [*rows, *database.by_number(owner, more)]
    near |= database.beside(owner, more)
    place = {row.number: n for n, row in enumerate(known)}
    return known, np.array([[place.get(n, -1) for n in near[row.number]] for row in known], dtype=np.int64)
