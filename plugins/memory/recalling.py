"""From a question to the memories that help to answer it: found, ranked, folded, and bounded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage import Recalled
from hoshikage.plugins.memory.block import line_of, tokens_of
from hoshikage.plugins.memory.digests.content import doubles
from hoshikage.plugins.memory.facts.newest import alike, asks_for_now, newness, pairs_of, raised, with_endings
from hoshikage.plugins.memory.fitting import NEIGHBOUR, fits_of
from hoshikage.plugins.memory.lexical import Statistics, score, telling
from hoshikage.plugins.memory.passages import passage_of
from hoshikage.plugins.memory.ranking import Weights, best_neighbour, rank
from hoshikage.plugins.memory.text import asks, normalised, terms_of
from hoshikage.plugins.memory.times.asked import asked_time
from hoshikage.plugins.memory.times.candidates import few_said_then, parts_of_time, said_then, turns_of_sessions

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
QUESTION_TERMS: Final = 64
FROM_THEN: Final = 0.3  # how well these few fit at least
TIME_ALONE: Final = 0.6  # what is from the day that is asked for fits so much, whatever its words are
TURN_STEP: Final = 0.001  # so small that it only parts what is equal
LEAST_PASSAGE: Final = 40  # tokens; less is no sentence with its day
BESIDE_THE_BEST: Final = 0.5  # where one memory fits, these come along: two facts are seldom in one


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much comes back.

    Attributes:
        items: at most so many memories.
        tokens: that all of them together take; 0 is without bound.
        threshold: without a memory that fits so well nothing comes, and with one what fits half as well, 0 to 1.
    """

    items: int
    tokens: int = 0
    threshold: float = 0.0


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
        share: how much of the question each has words for, 0 to 1.
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
    share: NDArray[np.float32]
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
        scores: of what shares words: see `score`.
    """

    question: str
    asked: AskedTime | None
    statistics: Statistics
    matching: Sequence[Row]
    then: Sequence[Row]
    scores: NDArray[np.float32]


def search(
    database: Database,
    owner: Owner,
    question: str,
    weights: Weights,
    meaning: Meaning | None = None,
    *,
    now: datetime | None = None,
) -> list[Recalled]:
    """Every candidate with its score, the best first; see `candidates`."""
    found = candidates(database, owner, first_look(database, owner, question, now=now), meaning)
    return ranked(found, weights) if found is not None else []


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
    return FirstLook(question, asked, statistics, matching, then, _scores(matching, statistics))


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
    asked, statistics = look.asked, look.statistics
    if (asked and asked.only) or (meaning is not None and not len(meaning.numbers)):
        meaning = None  # what was said at any other time is no answer
    near = database.by_number(owner, meaning.nearest(CANDIDATES)) if meaning is not None else []
    matching = list({row.number: row for row in (*look.matching, *near, *look.then)}.values())  # each where it is first
    if not matching:
        return None
    newer = with_endings(database.newer([row.number for row in matching]), matching, database.endings(owner))
    known = {row.number for row in matching}
    matching += database.by_number(owner, sorted({n for numbers in newer.values() for n in numbers} - known))
    rows, beside = _with_neighbours(database, owner, matching)
    words, share = np.concatenate([look.scores, _scores(rows[len(look.matching) :], statistics)], axis=1)
    cosines = meaning.of([row.number for row in rows]) if meaning is not None else None
    related_from = meaning.related_from if meaning is not None else 1.0
    times = parts_of_time(rows, asked) if asked else None
    return Candidates(
        rows,
        statistics.count,
        words,
        share,
        cosines,
        related_from,
        meaning.farthest if meaning is not None else np.inf,
        beside,
        _sessions(rows),
        asking=np.array([asks(row.memory.text) for row in rows], dtype=np.bool_),
        asked=asked,
        times=times,
        now=asks_for_now(look.question),
        pairs=pairs_of(rows, newer),
        digests=_digests(database, rows),
    )


def ranked(found: Candidates, weights: Weights) -> list[Recalled]:
    """The candidates with their scores, the best first."""
    cosines, beside = found.cosines, found.beside
    ranking = rank(
        found.words,
        cosines,
        beside=beside,
        sessions=found.sessions,
        asking=found.asking,
        weights=weights,
        farthest=found.farthest,
    )
    by_assistant = np.array([row.memory.role == "assistant" for row in found.rows], dtype=np.bool_)
    fits = fits_of(
        found.share,
        cosines,
        found.related_from,
        count=found.count,
        asking=found.asking,
        by_assistant=by_assistant,
    )
    fits = np.maximum(fits, NEIGHBOUR * best_neighbour(fits, beside))
    parts = {"words": ranking.lexical, "neighbour": ranking.neighbour, "session": ranking.session}
    parts["asking"] = -weights.asking * found.asking
    if cosines is not None:
        parts |= {"meaning": ranking.dense, "cosine": np.nan_to_num(cosines)}
    scores = ranking.scores
    if found.asked is not None and found.times is not None:
        parts["time"] = found.times
        few = few_said_then(found.rows, found.times)
        fits = found.times if found.asked.only else np.where(few, np.maximum(fits, FROM_THEN), fits)
        # Who names a day means that day, before all else; few words are the same in a question and what it is about.
        scores = scores + weights.time * found.times * np.maximum(fits, TIME_ALONE)
        if found.asked.only:
            scores = scores - TURN_STEP * turns_of_sessions(found.rows)
    if found.now:
        parts["now"] = newness(found.rows, fits)
        scores = scores + weights.now * parts["now"]
    groups = alike(found.rows)
    scores, fits = raised(scores, found.pairs, groups), raised(fits, found.pairs, groups)
    parts["rank"] = scores
    # Of equal ones the newest first; whole columns become numbers at once, as there are hundreds of rows.
    hidden = doubles(fits, found.digests)
    best = np.lexsort((-np.array([row.memory.said_at for row in found.rows]), -scores))
    best = best[~np.isin(best, list(hidden))]
    columns = [np.round(values[best].astype(float), 4).tolist() for values in parts.values()]
    shares = np.round(fits[best].astype(float), 4).tolist()
    return [
        Recalled(found.rows[n].memory, fit, dict(zip(parts, row, strict=True)))
        for n, fit, *row in zip(best.tolist(), shares, *columns, strict=True)
    ]


def _digests(database: Database, rows: Sequence[Row]) -> dict[int, list[int]]:
    """The places of digests, and of those turns of each that are candidates too."""
    found: dict[int, list[int]] = {n: [] for n, row in enumerate(rows) if row.memory.kind == "digest"}
    if found:
        place = {row.number: n for n, row in enumerate(rows)}
        for source, digest in database.digests.of_sources(list(place)).items():
            if digest in place:
                found[place[digest]].append(place[source])
    return found


def _scores(rows: Sequence[Row], statistics: Statistics) -> NDArray[np.float32]:
    return score([row.memory.text for row in rows], [row.length for row in rows], statistics)


def _sessions(rows: Sequence[Row]) -> NDArray[np.int64]:
    """A number for the session of each; what is in none is alone."""
    names: dict[str, int] = {}
    return np.array(
        [names.setdefault(row.memory.session or f"\0{row.number}", len(names)) for row in rows], dtype=np.int64
    )


def choose(
    found: Sequence[Recalled],
    bounds: Bounds,
    *,
    present: Sequence[str] = (),
    outdated: bool = False,
    question: str = "",
) -> list[Recalled]:
    """What goes into a prompt, the best first.

    Args:
        found: candidates, the best first.
        bounds: see there.
        present: texts that stand in the prompt already.
        outdated: also what is no longer so; otherwise what took its place comes alone.
        question: chooses the part of a memory that is too long for the bounds.
    """
    said = {normalised(text).strip() for text in present}
    texts = [normalised(item.memory.text).strip() for item in found]
    eligible = [
        (item, text)
        for item, text in zip(found, texts, strict=True)
        if text not in said and (outdated or not item.memory.superseded_by)
    ]
    if max((item.score for item, _ in eligible), default=0.0) < bounds.threshold:
        return []
    chosen: list[Recalled] = []
    left = bounds.tokens
    for item, text in eligible:
        if text in said or item.score < BESIDE_THE_BEST * bounds.threshold:
            continue
        fitting = item if not bounds.tokens else _fitting(item, question, left=left, budget=bounds.tokens)
        if fitting is None:
            continue
        said.add(text)
        left -= tokens_of(line_of(fitting))
        chosen.append(fitting)
        if len(chosen) == bounds.items:
            break
    return chosen


def _fitting(item: Recalled, question: str, *, left: int, budget: int) -> Recalled | None:
    """A memory, or the part of it that there is room for; `None` where that is too little to say anything.

    Only what could hardly ever come as a whole is cut; what has no room for once leaves it to shorter ones.
    """
    tokens = tokens_of(line_of(item))
    if tokens <= left:
        return item
    room = min(left, budget // 2)
    if tokens <= budget // 2 or room < LEAST_PASSAGE:
        return None
    around = tokens_of(line_of(replace(item, memory=replace(item.memory, text=""))))
    text = passage_of(item.memory.text, question, tokens=room - around)
    cut = replace(item, memory=replace(item.memory, text=text), why={**item.why, "part": _share(text, item)})
    return cut if text and tokens_of(line_of(cut)) <= left else None


def _share(text: str, item: Recalled) -> float:
    return round(len(text) / len(item.memory.text), 4)


def _with_neighbours(database: Database, owner: Owner, rows: Sequence[Row]) -> tuple[list[Row], NDArray[np.int64]]:
    """The candidates and what was said just before and after each, since answers stand beside what was asked.

    Returns:
        All of them, and for each the places of the two beside it; -1 where they are no candidates.
    """
    near = database.beside(owner, [row.number for row in rows])
    more = sorted({number for pair in near.values() for number in pair if number} - {row.number for row in rows})
    known = [*rows, *database.by_number(owner, more)]
    place = {row.number: n for n, row in enumerate(known)}
    beside = np.full((len(known), 2), -1, dtype=np.int64)
    for number, (before, after) in near.items():
        for side, other in enumerate((before, after)):
            if (n := place.get(other)) is not None:
                beside[place[number], side], beside[n, 1 - side] = n, place[number]
    return known, beside
