"""Candidates by when they were said, for questions that speak of a time."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.times.asked import SURE_FROM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.database import Database
    from hoshikage.plugins.memory.rows import Row
    from hoshikage.plugins.memory.times.asked import AskedTime

FEW: Final = 20  # all of them could be told in one prompt


def said_then(database: Database, owner: Owner, asked: AskedTime, terms: Sequence[str], *, limit: int) -> list[Row]:
    """What was said in the days that are asked for: what fits the words, and what the user said, all over these days.

    Args:
        database: the memories.
        owner: whose.
        asked: the days.
        terms: of the rest of the question.
        limit: how many at most, for each of the spans.
    """
    found: dict[int, Row] = {}
    for begin, end in dict.fromkeys((span.begin, span.end) for span in asked.spans):
        numbers = database.said_between(owner, begin, end)
        if not numbers:
            continue
        among, between = set(numbers), (min(numbers), max(numbers))
        fitting = database.matching(owner, terms, limit=limit, between=between)
        found |= {row.number: row for row in fitting if row.number in among}
        # The newest alone would be the last of these days.
        some = np.linspace(0, len(numbers) - 1, min(limit, len(numbers))).round().astype(int)
        others = database.by_number(owner, [numbers[n] for n in dict.fromkeys(some.tolist())])
        found |= {row.number: row for row in others if asked.only or row.memory.role != "assistant"}
    return list(found.values())


def moment_of(row: Row, asked: AskedTime) -> datetime.datetime:
    """When it was said, in the time zone of who asks."""
    return datetime.datetime.fromtimestamp(row.memory.said_at, asked.zone)


def few_said_then(rows: Sequence[Row], times: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which candidates the user said in the days that are asked for; none, if they are too many to be meant."""
    then = (times >= SURE_FROM) & np.array([row.memory.role != "assistant" for row in rows])
    return then if then.sum() <= FEW else np.zeros_like(then)


def turns_of_sessions(rows: Sequence[Row]) -> NDArray[np.float32]:
    """For each candidate, how many of its session come before it, what the user said first.

    Where only a time is asked for, all conversations of these days have a turn before one has its second.
    """
    counts: dict[str, int] = {}
    found = np.zeros(len(rows), dtype=np.float32)
    for n in sorted(range(len(rows)), key=lambda n: (rows[n].memory.role == "assistant", rows[n].number)):
        session = rows[n].memory.session
        found[n] = counts[session] = counts.get(session, -1) + 1
    return found
