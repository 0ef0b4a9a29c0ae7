"""How many memories a search does not reach any more, after some were deleted and written again, several times."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from benchmarks.memory.clusters import DIMENSIONS, EMBEDDER, clustered, opened, owners, told
from hoshikage.plugins.memory.index.chroma import client_of, new_collection
from hoshikage.plugins.memory.index.contents import ITSELF_AMONG, not_found
from hoshikage.plugins.memory.index.plan import Choice
from hoshikage.plugins.memory.index.shelves import Folders
from hoshikage.plugins.memory.index.vector_index import VectorIndex
from hoshikage.plugins.memory.index.vectors import Matrices

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hoshikage.plugins.memory.database import Database

    Change = tuple[NDArray[np.int64], NDArray[np.float32]]  # which are replaced, and by what

T = TypeVar("T")

MEMORIES: Final = 4_000
CYCLES: Final = 4
SHARE: Final = 0.2
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Reached:
    """What was reached after a cycle.

    Attributes:
        way: Chroma alone, in which what is written again is deleted and added, or upserted; or `hoshikage`.
        cycle: 0 is before the first one.
        memories: how many there were.
        unreachable: how many were not among the nearest of their own vectors.
    """

    way: str
    cycle: int
    memories: int
    unreachable: int


def measure(memories: int = MEMORIES, cycles: int = CYCLES, share: float = SHARE, seed: int = 1) -> list[Reached]:
    """Each way with the same vectors. In a cycle some memories are deleted, and as many others written in their place.

    Args:
        memories: how many.
        cycles: of deleting and writing.
        share: of the memories, in each cycle.
        seed: of the vectors and of what is deleted.
    """
    vectors = clustered(memories, seed=seed)
    chance = np.random.default_rng(seed)
    count = int(memories * share)
    changes = [
        (chance.choice(memories, count, replace=False), clustered(memories, seed=seed + 1 + cycle)[:count])
        for cycle in range(cycles)
    ]
    with tempfile.TemporaryDirectory(prefix="hoshikage-bench-") as name:
        folder = Path(name)
        rows = _alone(folder / "add", vectors.copy(), changes, upsert=False)
        rows += _alone(folder / "upsert", vectors.copy(), changes, upsert=True)
        return rows + asyncio.run(_ours(folder / "ours", vectors.copy(), changes))


def _alone(folder: Path, vectors: NDArray[np.float32], changes: list[Change], *, upsert: bool) -> list[Reached]:
    """One collection, in which records are changed as Chroma offers it. Ids are places in `vectors`."""
    client = client_of(folder)
    collection = new_collection(client, "memories")
    way = "chroma alone, upsert" if upsert else "chroma alone, delete and add"

    def write(numbers: NDArray[np.int64]) -> None:
        for at in range(0, len(numbers), BATCH):
            part = numbers[at : at + BATCH]
            collection.upsert(ids=[str(n) for n in part], embeddings=vectors[part])

    def reached(cycle: int) -> Reached:
        lost = 0
        for at in range(0, len(vectors), BATCH):
            asked = vectors[at : at + BATCH]
            found = collection.query(query_embeddings=asked, n_results=ITSELF_AMONG, include=["distances"])
            pairs = zip(found["ids"], found["distances"], strict=True)
            named = [([int(n) for n in ids], [1 - d for d in distances]) for ids, distances in pairs]
            lost += len(not_found(range(at, at + len(asked)), named))
        return Reached(way, cycle, collection.count(), lost)

    write(np.arange(len(vectors)))
    rows = [reached(0)]
    for cycle, (numbers, new) in enumerate(changes, 1):
        if not upsert:
            collection.delete(ids=[str(n) for n in numbers])
        vectors[numbers] = new
        write(numbers)
        rows.append(reached(cycle))
    client.close()
    return rows


async def _ours(folder: Path, vectors: NDArray[np.float32], changes: list[Change]) -> list[Reached]:
    """The same through the index of this project, which makes its collections anew."""
    database, (owner,) = opened(folder), owners(1)

    async def call(work: Callable[[Database], T], /) -> T:
        return work(database)

    embedder = database.embedder(EMBEDDER)
    matrices = Matrices(database, embedder, DIMENSIONS)
    index = VectorIndex(
        Folders(folder / "index"),
        Choice("chroma", 0),
        read=call,
        write=call,
    )
    memories = told(database, owner, vectors, name="first")

    async def reached(cycle: int) -> Reached:
        await index.serves(owner)
        lost = 0
        for vector, (_, number) in zip(vectors, memories, strict=True):
            meaning = matrices.meaning(owner, vector, 1.0, await index.nearest(owner, vector))
            nearest = meaning.nearest(ITSELF_AMONG)
            lost += len(not_found([number], [(nearest, sorted(meaning.of(nearest).tolist(), reverse=True))]))
        return Reached("hoshikage", cycle, len(memories), lost)

    index.know(embedder, DIMENSIONS)
    index.start()
    rows = [await reached(0)]
    for cycle, (numbers, new) in enumerate(changes, 1):
        for n in numbers:
            database.forget(owner, memories[n][0])
        await index.sweep()
        vectors[numbers] = new
        for n, memory in zip(numbers, told(database, owner, new, name=f"cycle {cycle}"), strict=True):
            memories[n] = memory
        rows.append(await reached(cycle))
    await index.stop()
    database.close()
    return rows
