"""What is newer comes before what it takes the place of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.text import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hoshikage.plugins.memory.rows import Row

READ_CHARS: Final = 500
ALIKE_CHARS: Final = 200  # longer ones are not the same but for a value
# What may differ between two texts that are alike: numbers, names, and words in katakana.
_VALUE: Final = re.compile(r"\d+|(?<=[a-z,] )[A-Z]\w*|[\u30a0-\u30ff]{2,}")

# How it is now, as a question asks for it, and as one says it who tells of a change.
_NOW: Final = re.compile(
    r"\b(?:now|current(?:ly)?|still|these days|nowadays|any ?more|at the moment)\b"
    "|今|いま|現在|最近|近ごろ|近頃|このごろ|この頃|結局"
)
_CHANGE: Final = re.compile(
    r"\b(?:now|no longer|any ?more|instead|switched|changed|replaced|finally|new)\b|今は|いまは|今では|今じゃ|今度|"
    "近ごろ|近頃|新し|やめ|辞め|変わ|替|代わりに|切り替|乗りか|乗り換|ようになっ|ようになり|決めた|決めました|決まっ|とうとう|ついに|卒業|引っ越",
    re.IGNORECASE,
)


def asks_for_now(question: str) -> bool:
    """Whether a question wants to know how it is now, after whatever has changed."""
    return bool(_NOW.search(normalised(question)))


def newness(rows: Sequence[Row], fits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each candidate looks like how it is now, 0 to 1: by its words, and by its age if it fits at all.

    What an assistant says is old advice as a rule, and tells nothing of the user.
    """
    ages = np.argsort(np.argsort([row.memory.said_at for row in rows])) / max(1, len(rows) - 1)
    user = np.array([row.memory.role != "assistant" for row in rows])
    tells = np.array([bool(_CHANGE.search(row.memory.text[:READ_CHARS])) for row in rows])
    found: NDArray[np.float32] = (user * (ages * np.minimum(1, 2 * fits) + tells) / 2).astype(np.float32)
    return found


def pairs_of(rows: Sequence[Row], newer: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    """Places of an older and a newer candidate, of which the newer says how it is now.

    Args:
        rows: the candidates.
        newer: see `Database.newer`.
    """
    place = {row.number: n for n, row in enumerate(rows)}
    return [(place[old], place[new]) for old in newer.keys() & place.keys() for new in newer[old] if new in place]


def with_endings(
    newer: Mapping[int, Sequence[int]], rows: Sequence[Row], endings: Sequence[tuple[int, str]]
) -> dict[int, list[int]]:
    """The same with what says later that something ended of which a candidate speaks.

    Args:
        newer: see `Database.newer`.
        rows: the candidates.
        endings: see `Database.endings`.
    """
    found = {old: list(new) for old, new in newer.items()}
    for row in rows if endings else ():
        if row.memory.role != "assistant":
            text = row.plain[:READ_CHARS]
            later = [number for number, name in endings if number > row.number and name in text]
            if later:
                found.setdefault(row.number, []).extend(later)
    return found


def alike(rows: Sequence[Row]) -> list[list[int]]:
    """Places of what the user said several times with another value, the oldest first."""
    groups: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        text = row.memory.text
        if row.memory.role != "assistant" and len(text) <= ALIKE_CHARS:
            without, values = _VALUE.subn("\0", text)
            groups.setdefault((normalised(without) if values else row.plain).strip(), []).append(n)
    return [
        sorted(group, key=lambda n: (rows[n].memory.said_at, rows[n].number))
        for group in groups.values()
        if len(group) > 1
    ]


def raised(
    values: NDArray[np.float32], pairs: Iterable[tuple[int, int]], groups: Iterable[Sequence[int]]
) -> NDArray[np.float32]:
    """The values as they are where the newest comes first.

    Args:
        values: of all candidates.
        pairs: the newer becomes at least as great as the older.
        groups: the greatest value of each goes to its newest.
    """
    found = values.copy()
    for group in groups:
        found[list(group)] = np.sort(found[list(group)])
    for old, new in pairs:
        found[new] = max(found[new], found[old])
    return found
