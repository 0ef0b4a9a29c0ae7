"""What goes into an index: the vectors of a space, and which of them it does not find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.index.vectors import HALF_BYTES, decoded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from numpy.typing import NDArray

    from hoshikage.plugins.memory.database import Database
    from hoshikage.plugins.memory.embedding.work import Write

BATCH: Final = 200
ITSELF_AMONG: Final = 10
ALIKE: Final = 0.9999  # so near, one is as good as the other: the same text in two conversations


class Contents:
    """Reads the vectors of spaces.

    Args:
        read: runs a call in the thread that reads the database.
        embedder: its number there.
        dimensions: of its vectors.
    """

    def __init__(self, read: Write, embedder: int, dimensions: int) -> None:
        self._read = read
        self._embedder = embedder
        self._dimensions = dimensions

    async def pages(self, space: int, *, up_to: int) -> AsyncIterator[tuple[list[int], NDArray[np.float32]]]:
        """The vectors of a space that have a direction: memories, and shape (memories, dimensions)."""
        after, size_bytes = 0, self._dimensions * HALF_BYTES

        def page(database: Database) -> list[tuple[int, int, bytes]]:
            bounds = {"after": after, "up_to": up_to, "size_bytes": size_bytes, "limit": BATCH}
            return database.index.page(space, self._embedder, **bounds)

        while rows := await self._read(page):
            after = rows[-1][0]
            vectors = decoded([blob for _, _, blob in rows], self._dimensions)
            good = np.flatnonzero(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))
            if len(good):
                yield [rows[n][1] for n in good], vectors[good]


def not_found(memories: Sequence[int], found: Sequence[tuple[Sequence[int], Sequence[float]]]) -> list[int]:
    """The memories that are not found by their own vectors, nor anything that is just as near.

    Args:
        memories: whose vectors were looked for.
        found: for each, the nearest memories and their cosines, the nearest first.
    """
    return [
        memory
        for memory, (numbers, cosines) in zip(memories, found, strict=True)
        if memory not in numbers and (not cosines or cosines[-1] < ALIKE)
    ]
