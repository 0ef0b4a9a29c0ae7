"""Search by meaning: the vectors of an owner as one matrix, kept while they are in use, or what an index has found."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.candidates import Meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.database import Database
    from hoshikage.plugins.memory.index.records import Indexed

KEPT_BYTES: Final = 512 << 20  # of all matrices together; the least recently used go
HALF_BYTES: Final = 2  # of a number in the database


@dataclass(frozen=True, slots=True)
class Near:
    """What an index has found.

    Attributes:
        row: which index.
        numbers: of the nearest memories that are in it.
    """

    row: Indexed
    numbers: Sequence[int]


@dataclass(slots=True)
class Matrix:
    """The vectors of an owner.

    Attributes:
        version: of what is left after all deletions; see `Database.vector_state`.
        after: only vectors with a higher number are in it.
        newest: the last vector that is in it.
        numbers: of the memories, ascending: shape (memories,).
        vectors: of length 1: shape (memories, dimensions).
    """

    version: tuple[int, int]
    after: int
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

    def meaning(
        self, owner: Owner, question: NDArray[np.float32], related_from: float, near: Near | None = None
    ) -> Meaning:
        """How near an owner's memories are to a question.

        Args:
            owner: whose.
            question: of length 1: shape (dimensions,).
            related_from: see `Embedder`.
            near: what the owner's index has found; without it, or where something was deleted since, all are looked
                at. Cosines are those of the vectors in the database in any case: an index says only where to look.
        """
        version, _ = self._database.vector_state(owner, self._embedder)
        if near is None or near.row.version != version:
            return Meaning(*self.cosines(owner, question), related_from)
        row = near.row

        def those(memories: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            size = self._dimensions * HALF_BYTES
            found = self._database.index.vectors_of(row.space, self._embedder, memories, size_bytes=size)
            vectors = decoded([blob for _, blob in found], self._dimensions)
            return np.array([number for number, _ in found], dtype=np.int64), cosines_with(vectors, question)

        (indexed, near_them), (rest, near_rest) = (
            those([*near.numbers, *row.strays, *row.sample]),
            self.cosines(owner, question, after=row.newest),
        )
        numbers, cosines = np.concatenate([indexed, rest]), np.concatenate([near_them, near_rest])
        order = np.argsort(numbers, kind="stable")
        return Meaning(numbers[order], cosines[order], related_from, those)

    def cosines(
        self, owner: Owner, question: NDArray[np.float32], *, after: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The numbers of an owner's memories, ascending, and how near each is to the question.

        Args:
            owner: whose.
            question: of length 1: shape (dimensions,).
            after: only of vectors with a higher number.
        """
        matrix = self._current(owner, after)
        return matrix.numbers, cosines_with(matrix.vectors, question)

    def _current(self, owner: Owner, after: int) -> Matrix:
        version, newest = self._database.vector_state(owner, self._embedder)
        matrix = self._kept.pop(owner, None)
        if matrix is None or matrix.version != version or matrix.after != after:
            none = np.zeros(0, np.int64), np.zeros((0, self._dimensions), np.float32)
            matrix = Matrix(version, after, after, *none)
        if matrix.newest < newest:
            matrix = self._grown(owner, matrix, newest)
        self._kept[owner] = matrix
        while len(self._kept) > 1 and sum(m.vectors.nbytes for m in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return matrix

    def _grown(self, owner: Owner, matrix: Matrix, newest: int) -> Matrix:
        size = self._dimensions * HALF_BYTES  # one of another size is damaged: `memory verify` tells of it
        found = self._database.vectors_after(owner, self._embedder, matrix.newest)
        rows = [(number, blob) for number, blob in found if len(blob) == size]
        numbers = np.concatenate([matrix.numbers, np.array([number for number, _ in rows], dtype=np.int64)])
        order = np.argsort(numbers, kind="stable")
        vectors = np.concatenate([matrix.vectors, decoded([blob for _, blob in rows], self._dimensions)])
        return Matrix(matrix.version, matrix.after, newest, numbers[order], vectors[order])


def cosines_with(vectors: NDArray[np.float32], question: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of each vector and the question, all of length 1: shape (vectors,).

    Without BLAS, whose threads spin for tens of milliseconds after each product, in the way of embedder and engine.
    """
    found: NDArray[np.float32] = np.einsum("ij,j->i", vectors, question)
    return found


def decoded(blobs: Sequence[bytes], dimensions: int) -> NDArray[np.float32]:
    """Vectors as the database has them, as numbers to compute with: shape (blobs, dimensions)."""
    return np.frombuffer(b"".join(blobs), dtype=np.float16).reshape(-1, dimensions).astype(np.float32)
