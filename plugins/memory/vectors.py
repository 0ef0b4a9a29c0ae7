"""Exact search by meaning: the vectors of an owner as one matrix, kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.database import Database

KEPT_BYTES: Final = 512 << 20  # of all matrices together; the least recently used go


@dataclass(slots=True)
class Matrix:
    """The vectors of an owner.

    Attributes:
        version: of what is left after all deletions; see `Database.vector_state`.
        newest: the last vector that is in it.
        numbers: of the memories, ascending: shape (memories,).
        vectors: of length 1: shape (memories, dimensions).
    """

    version: tuple[int, int]
    newest: int
    numbers: NDArray[np.int64]
    vectors: NDArray[np.float32]


class Matrices:
    """Reads the matrices of owners, and only what is new of those that are known. Used by one thread.

    Args:
        database: where the vectors are.
        embedder: the number of the embedder there.
        dimensions: of its vectors.
    """

    def __init__(self, database: Database, embedder: int, dimensions: int) -> None:
        self._database = database
        self._embedder = embedder
        self._dimensions = dimensions
        self._kept: OrderedDict[Owner, Matrix] = OrderedDict()

    def cosines(self, owner: Owner, question: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The numbers of an owner's memories, ascending, and how near each is to the question."""
        matrix = self._current(owner)
        return matrix.numbers, matrix.vectors @ question

    def _current(self, owner: Owner) -> Matrix:
        version, newest = self._database.vector_state(owner, self._embedder)
        matrix = self._kept.pop(owner, None)
        if matrix is None or matrix.version != version:
            matrix = Matrix(version, 0, np.zeros(0, np.int64), np.zeros((0, self._dimensions), np.float32))
        if matrix.newest < newest:
            matrix = self._grown(owner, matrix, newest)
        self._kept[owner] = matrix
        while len(self._kept) > 1 and sum(m.vectors.nbytes for m in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return matrix

    def _grown(self, owner: Owner, matrix: Matrix, newest: int) -> Matrix:
        rows = self._database.vectors_after(owner, self._embedder, matrix.newest)
        numbers = np.array([number for number, _ in rows], dtype=np.int64)
        new = np.frombuffer(b"".join(blob for _, blob in rows), dtype=np.float16).reshape(-1, self._dimensions)
        numbers = np.concatenate([matrix.numbers, numbers])
        order = np.argsort(numbers, kind="stable")
        vectors = np.concatenate([matrix.vectors, new.astype(np.float32)])
        return Matrix(matrix.version, newest, numbers[order], vectors[order])
