"""What is newer comes before what it takes the place of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.text import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hoshikage.plugins.memory.database import Row

ALIKE_CHARS: Final = 200  # longer ones are not the same but for a value
# What may differ between two texts that are alike: numbers, names, and words in katakana.
_VALUE: Final = re.compile(r"\d+|(?<=[a-z,] )[A-Z]\w*|[\u30a0-\u30ff]{2,}")


def pairs_of(rows: Sequence[Row], newer: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    """Places of an older and a newer candidate, of which the newer says how it is now.

    Args:
        rows: the candidates.
        newer: see `Database.newer`.
    """
    place = {row.number: n for n, row in enumerate(rows)}
    return [(place[old], place[new]) for old in newer.keys() & place.keys() for new in newer[old] if new in place]


def alike(rows: Sequence[Row]) -> list[list[int]]:
    """Places of what the user said several times with another value, the oldest first."""
    groups: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        text = row.memory.text
        if row.memory.role != "assistant" and len(text) <= ALIKE_CHARS:
            groups.setdefault(normalised(_VALUE.sub("\0", text)).strip(), []).append(n)
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
