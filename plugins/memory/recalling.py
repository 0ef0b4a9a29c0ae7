"""From a question to the memories that help to answer it: found, ranked, folded, and bounded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage import Recalled
from hoshikage.plugins.memory.block import line_of, tokens_of
from hoshikage.plugins.memory.candidates import candidates, first_look
from hoshikage.plugins.memory.digests.content import doubles
from hoshikage.plugins.memory.facts.newest import alike, newness, raised
from hoshikage.plugins.memory.fitting import NEIGHBOUR, fits_of
from hoshikage.plugins.memory.passages import passage_of
from hoshikage.plugins.memory.ranking import Weights, best_neighbour, rank
from hoshikage.plugins.memory.text import normalised
from hoshikage.plugins.memory.times.candidates import few_said_then, turns_of_sessions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hoshikage import Owner
    from hoshikage.plugins.memory.candidates import Candidates, Meaning
    from hoshikage.plugins.memory.database import Database

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


def ranked(found: Candidates, weights: Weights) -> list[Recalled]:
    """The candidates with their scores, the best first."""
    cosines, beside = found.cosines, found.beside
    ranking = rank(
        found.words,
        cosines,
        coverage=found.coverage,
        beside=beside,
        sessions=found.sessions,
        asking=found.asking,
        weights=weights,
        farthest=found.farthest,
    )
    by_assistant = np.array([row.memory.role == "assistant" for row in found.rows], dtype=np.bool_)
    fits = fits_of(
        found.coverage,
        cosines,
        found.related_from,
        count=found.count,
        asking=found.asking,
        by_assistant=by_assistant,
    )
    fits = np.maximum(fits, NEIGHBOUR * best_neighbour(fits, beside))
    parts = {"words": ranking.lexical, "neighbour": ranking.neighbour, "session": ranking.session}
    parts["coverage"] = found.coverage
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
    eligible = [
        (item, text)
        for item in found
        if item.score >= BESIDE_THE_BEST * bounds.threshold and (outdated or not item.memory.superseded_by)
        for text in [normalised(item.memory.text).strip()]
        if text not in said
    ]
    if max((item.score for item, _ in eligible), default=0.0) < bounds.threshold:
        return []
    chosen: list[Recalled] = []
    left = bounds.tokens
    for item, text in eligible:
        if text in said:
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
