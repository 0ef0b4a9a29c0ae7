"""What three ways of finding the nearest vectors cost: exactly, a collection for each person, one with a filter."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.figures import percentile
from benchmarks.memory.clusters import DIMENSIONS, EMBEDDER, clustered, opened, owners, told
from hoshikage.plugins.memory.index.chroma import client_of, new_collection
from hoshikage.plugins.memory.index.vectors import Matrices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

WAYS: Final = ("exact", "collection each", "one with a filter")
SIZES: Final = (10_000, 100_000)
PEOPLE: Final = (100, 1)
QUESTIONS: Final = 200
NEAREST: Final = 10
SAMPLE: Final = 1_000
ALIKE: Final = 0.9999
SHARE: Final = 0.2
BATCH: Final = 1_000
NOISE: Final = 0.03
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """A way of searching, with so many memories of so many people.

    Attributes:
        p50_ms: of a question to the memories of one person, who asked before.
        p95_ms: the same.
        recall: the share of the 10 nearest that it finds.
        unreachable: of a sample of what is left after a fifth was deleted, how many are not found by their own vectors.
        sample: how many that sample has.
        disk_mib: all files.
        rss_mib: the most that the process had, Python and the vectors to ask with included.
        fill_s: how long it took to write everything.
    """

    way: str
    memories: int
    people: int
    p50_ms: float
    p95_ms: float
    recall: float
    unreachable: int
    sample: int
    disk_mib: float
    rss_mib: float
    fill_s: float


@dataclass(frozen=True, slots=True)
class Filled:
    """A store of one way. Memories are told apart by their place among all.

    Attributes:
        search: a person's nearest memories: person, question, how many.
        delete: some memories of a person.
        close: let go of the files.
    """

    search: Callable[[int, NDArray[np.float32], int], list[int]]
    delete: Callable[[int, list[int]], None]
    close: Callable[[], None]


def measure(
    sizes: Sequence[int] = SIZES, people: Sequence[int] = PEOPLE, ways: Sequence[str] = WAYS, seed: int = 1
) -> list[Cost]:
    """All of them, each in a process of its own, one after the other.

    Args:
        sizes: how many memories there are in all.
        people: among how many people they are divided evenly.
        ways: of `WAYS`.
        seed: of the vectors, the questions and the deletions.
    """
    rows = []
    for size in sizes:
        for count in people:
            for way in ways:
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                    rows.append(process.submit(cost_of, way, size, count, seed).result())
    return rows


def cost_of(way: str, memories: int, people: int, seed: int) -> Cost:
    """One row; in a process of its own, since memory is never given back wholly."""
    vectors = clustered(memories, seed=seed)
    of_person = np.arange(memories) % people
    with tempfile.TemporaryDirectory(prefix="hoshikage-bench-") as name:
        folder = Path(name)
        started = time.perf_counter()
        filled = (_exact if way == "exact" else _chroma)(folder, vectors, of_person, way)
        fill_s = time.perf_counter() - started
        times, recall = _asked(filled, vectors, of_person, seed)
        unreachable, sample = _after_deletions(filled, vectors, of_person, seed)
        filled.close()
        disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Cost(
        *(way, memories, people, percentile(times, 50), percentile(times, 95), recall, unreachable, sample),
        disk_mib=disk / MIB,
        rss_mib=_most_kib() / 1024,
        fill_s=fill_s,
    )


def _most_kib() -> int:
    """The most main memory that this process had; `ru_maxrss` would begin with that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _asked(
    filled: Filled, vectors: NDArray[np.float32], of_person: NDArray[np.int64], seed: int
) -> tuple[list[float], float]:
    """How long each question took in ms, and the share of the nearest that was found."""
    chance = np.random.default_rng(seed + 1)
    times, hits, wanted = [], 0, 0
    for n in chance.integers(len(vectors), size=QUESTIONS):
        person, noise = int(of_person[n]), chance.normal(size=vectors.shape[1])
        question = (vectors[n] + NOISE * noise).astype(np.float32)
        question /= np.linalg.norm(question)
        filled.search(person, question, NEAREST)  # what is not in memory yet is read
        started = time.perf_counter()
        found = filled.search(person, question, NEAREST)
        times.append((time.perf_counter() - started) * 1000)
        own = np.flatnonzero(of_person == person)
        best = own[np.argsort(-(vectors[own] @ question))[:NEAREST]]
        hits, wanted = hits + len(set(found) & set(best.tolist())), wanted + len(best)
    return times, hits / wanted


def _after_deletions(
    filled: Filled, vectors: NDArray[np.float32], of_person: NDArray[np.int64], seed: int
) -> tuple[int, int]:
    """How many are not found any more, of how many that were looked for."""
    chance = np.random.default_rng(seed + 2)
    gone = chance.choice(len(vectors), int(len(vectors) * SHARE), replace=False)
    for person in np.unique(of_person):
        filled.delete(int(person), [int(n) for n in gone if of_person[n] == person])
    left = np.setdiff1d(np.arange(len(vectors)), gone)
    sample = chance.choice(left, min(SAMPLE, len(left)), replace=False)
    lost = 0
    for n in sample:
        found = filled.search(int(of_person[n]), vectors[n], NEAREST)
        lost += n not in found and (not found or float((vectors[found] @ vectors[n]).min()) < ALIKE)
    return lost, len(sample)


def _exact(folder: Path, vectors: NDArray[np.float32], of_person: NDArray[np.int64], way: str) -> Filled:
    """The search of this project: every vector of the person, read from the database once."""
    del way
    database, people = opened(folder), owners(int(of_person.max()) + 1)
    matrices = Matrices(database, database.embedder(EMBEDDER), DIMENSIONS)
    ids: dict[int, str] = {}
    place_of: dict[int, int] = {}
    for person, owner in enumerate(people):
        places = np.flatnonzero(of_person == person)
        for place, (identity, number) in zip(places, told(database, owner, vectors[places], name="text"), strict=True):
            ids[int(place)], place_of[number] = identity, int(place)

    def search(person: int, question: NDArray[np.float32], count: int) -> list[int]:
        return [place_of[n] for n in matrices.meaning(people[person], question, 1.0).nearest(count)]

    def delete(person: int, places: list[int]) -> None:
        for place in places:
            database.forget(people[person], ids[place])

    return Filled(search, delete, database.close)


def _chroma(folder: Path, vectors: NDArray[np.float32], of_person: NDArray[np.int64], way: str) -> Filled:
    """Chroma as it comes, with a collection for each person, or one for all and a filter that is never left out."""
    client, apart = client_of(folder), way == "collection each"
    people = int(of_person.max()) + 1
    collections = [new_collection(client, f"person-{n}") for n in range(people if apart else 1)]

    def of(person: int) -> tuple[Any, dict[str, Any]]:
        return (collections[person], {}) if apart else (collections[0], {"where": {"person": person}})

    for person in range(people):
        places, (collection, _) = np.flatnonzero(of_person == person), of(person)
        for at in range(0, len(places), BATCH):
            part = places[at : at + BATCH]
            about = None if apart else [{"person": person}] * len(part)
            collection.add(ids=[str(n) for n in part], embeddings=vectors[part], metadatas=about)

    def search(person: int, question: NDArray[np.float32], count: int) -> list[int]:
        collection, only = of(person)
        found = collection.query(query_embeddings=question[None], n_results=count, include=[], **only)
        return [int(n) for n in found["ids"][0]]

    def delete(person: int, places: list[int]) -> None:
        if places:
            of(person)[0].delete(ids=[str(n) for n in places])

    return Filled(search, delete, client.close)
