"""What may be meant by a question: what shares words with it, is near to it or from then, and what is beside that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.facts.newest import asks_for_now, pairs_of, with_endings
from hoshikage.plugins.memory.features import Features
from hoshikage.plugins.memory.lexical import Statistics, telling
from hoshikage.plugins.memory.text import terms_of
from hoshikage.plugins.memory.times.asked import asked_time
from hoshikage.plugins.memory.times.candidates import said_then

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.database import Database
    from hoshikage.plugins.memory.rows import Row
    from hoshikage.plugins.memory.times.asked import AskedTime

CANDIDATES: Final = 50
# Of a long message its end, where people ask, and of that the rarest terms: whoever sends a book holds up nobody.
QUESTION_CHARS: Final = 2_000
QUESTION_TERMS: Final = 32


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an embedder has to say of a question.

    Attributes:
        numbers: of the owner's memories that have a vector, ascending: all of them, or the nearest.
        cosines: how near each of them is to the question.
        related_from: see `Embedder`.
        others: where those are only the nearest, the same two for other memories, as far as they have vectors.
    """

    numbers: NDArray[np.int64]
    cosines: NDArray[np.float32]
    related_from: float
    others: Callable[[Sequence[int]], tuple[NDArray[np.int64], NDArray[np.float32]]] | None = None

    @property
    def farthest(self) -> float:
        """The least of the cosines; where only the nearest are known, those of a sample are among them."""
        return float(self.cosines.min(initial=np.inf))

    def nearest(self, count: int) -> list[int]:
        """The numbers of the nearest memories."""
        if len(self.cosines) <= count:
            return [int(n) for n in self.numbers]
        return [int(n) for n in self.numbers[np.argpartition(self.cosines, -count)[-count:]]]

    def of(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """The cosines of some memories; no number for those that have no vector yet."""
        wanted = np.array(numbers, dtype=np.int64)
        at, cosines = (self.numbers, self.cosines) if self.others is None else self.others(numbers)
        if not len(at):
            return np.full(len(wanted), np.nan, dtype=np.float32)
        place = np.minimum(np.searchsorted(at, wanted), len(at) - 1)
        known = at[place] == wanted
        return np.where(known, cosines[place], np.nan).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be meant, with all that a ranking must know of it; arrays have a place for each row.

    Attributes:
        words: BM25 of each.
        coverage: how much of the question each has words for, 0 to 1.
        cosines: how near each is in meaning; `None` without an embedder.
        count: how many memories the owner has.
        related_from: see `Embedder`.
        farthest: the least cosine of all memories, candidates or not.
        beside: shape (rows, 2): the places of what was said just before and after; -1 where it is no candidate.
        sessions: a number for the session of each.
        asking: which of them ask something themselves.
        asked: what the question says of when; `None` where it does not.
        times: how well each fits that, 0 to 1.
        now: the question asks how it is now.
        pairs: places of an older and a newer one that takes its place; see `pairs_of`.
        digests: the place of each digest, and those of the turns that it stands for.
    """

    rows: Sequence[Row]
    count: int
    words: NDArray[np.float32]
    coverage: NDArray[np.float32]
    cosines: NDArray[np.float32] | None
    related_from: float
    farthest: float
    beside: NDArray[np.int64]
    sessions: NDArray[np.int64]
    asking: NDArray[np.bool_]
    asked: AskedTime | None = None
    times: NDArray[np.float32] | None = None
    now: bool = False
    pairs: Sequence[tuple[int, int]] = ()
    digests: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What can be found while the embedder is still at the question.

    Attributes:
        question: its end, as far as it is looked at.
        asked: what it says of when; `None` where it does not.
        statistics: of the words in it.
        matching: what shares words with it, the best first.
        then: what is from then.
        features: of these, and of what stands beside them.
    """

    question: str
    asked: AskedTime | None
    statistics: Statistics
    matching: Sequence[Row]
    then: Sequence[Row]
    features: Features


def first_look(database: Database, owner: Owner, question: str, *, now: datetime | None = None) -> FirstLook:
    """What shares words with a question or is from then.

    Args:
        database: the memories.
        owner: whose.
        question: what they are to help with.
        now: from where the days are counted that the question speaks of, in its time zone; without it, none are.
    """
    count, mean_length = database.size(owner)
    question = question[-QUESTION_CHARS:]
    asked = asked_time(question, now) if now is not None and count else None
    terms = set(terms_of(asked.rest if asked else question)) if not (asked and asked.only) else set()
    statistics = Statistics(count, mean_length, database.counts(owner, terms) if count else {})
    wanted = telling(statistics)[:QUESTION_TERMS]
    matching = database.matching(owner, wanted, limit=CANDIDATES)
    then = said_then(database, owner, asked, wanted, limit=CANDIDATES) if asked else []
    features = Features(statistics, asked)
    features.look_at(database, owner, [*matching, *then])
    features.times(matching)  # it keeps what it has read
    return FirstLook(question, asked, statistics, matching, then, features)


def candidates(database: Database, owner: Owner, look: FirstLook, meaning: Meaning | None = None) -> Candidates | None:
    """What shares words with a question, is near to it or from then, and what stands beside that.

    Args:
        database: the memories.
        owner: whose.
        look: what was found without the question's vector.
        meaning: what an embedder has to say of the question.

    Returns:
        `None` if there is nothing.
    """
    asked, features = look.asked, look.features
    if (asked and asked.only) or (meaning is not None and not len(meaning.numbers)):
        meaning = None  # what was said at any other time is no answer
    near = database.by_number(owner, meaning.nearest(CANDIDATES)) if meaning is not None else []
    matching = list({row.number: row for row in (*look.matching, *near, *look.then)}.values())  # each where it is first
    if not matching:
        return None
    newer = with_endings(database.newer([row.number for row in matching]), matching, database.endings(owner))
    known = {row.number for row in matching}
    matching += database.by_number(owner, sorted({n for numbers in newer.values() for n in numbers} - known))
    features.look_at(database, owner, matching)
    rows, beside = features.with_neighbours(matching)
    words, coverage = features.words(rows)
    return Candidates(
        rows,
        look.statistics.count,
        words,
        coverage,
        meaning.of([row.number for row in rows]) if meaning is not None else None,
        meaning.related_from if meaning is not None else 1.0,
        meaning.farthest if meaning is not None else np.inf,
        beside,
        _sessions(rows),
        asking=features.asking(rows),
        asked=asked,
        times=features.times(rows),
        now=asks_for_now(look.question),
        pairs=pairs_of(rows, newer),
        digests=_digests(database, rows),
    )


def _digests(database: Database, rows: Sequence[Row]) -> dict[int, list[int]]:
    """The places of digests, and of those turns of each that are candidates too."""
    found: dict[int, list[int]] = {n: [] for n, row in enumerate(rows) if row.memory.kind == "digest"}
    if found:
        place = {row.number: n for n, row in enumerate(rows)}
        for source, digest in database.digests.of_sources(list(place)).items():
            if digest in place:
                found[place[digest]].append(place[source])
    return found


def _sessions(rows: Sequence[Row]) -> NDArray[np.int64]:
    """A number for the session of each; what is in none is alone."""
    names: dict[str, int] = {}
    return np.array(
        [names.setdefault(row.memory.session or f"\0{row.number}", len(names)) for row in rows], dtype=np.int64
    )
