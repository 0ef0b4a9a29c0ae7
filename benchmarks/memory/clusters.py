"""Vectors that lie as those of texts do, in clusters, and a database that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DIMENSIONS: Final = 384
OF_A_CLUSTER: Final = 50
SPREAD: Final = 0.03  # of each number; the mean cosine within a cluster is about 0.7
EMBEDDER: Final = "clusters"
BATCH: Final = 1_000


def clustered(count: int, *, seed: int, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    """Vectors of length 1: shape (count, dimensions).

    Some clusters are large and many are small, as people speak of few things often and of many once. Random vectors,
    and clusters of one size, hide what Chroma loses.
    """
    centres = np.random.default_rng(0).normal(size=(max(count // OF_A_CLUSTER, 1), dimensions)) / dimensions**0.5
    share = 1 / np.arange(1, len(centres) + 1)
    chance = np.random.default_rng(seed)
    chosen = chance.choice(len(centres), size=count, p=share / share.sum())
    found = centres[chosen] + SPREAD * chance.normal(size=(count, dimensions))
    # As the database keeps them, so that every way of searching has the same numbers.
    half = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)
    return np.asarray(half, dtype=np.float32)


def owners(count: int) -> list[Owner]:
    """So many people."""
    return [Owner("benchmark", f"user {number}") for number in range(count)]


def told(database: Database, owner: Owner, vectors: NDArray[np.float32], *, name: str) -> list[tuple[str, int]]:
    """Write a memory with each of these vectors: shape (count, dimensions). Returns the id and number of each."""
    embedder = database.embedder(EMBEDDER)
    found: list[tuple[str, int]] = []
    for at in range(0, len(vectors), BATCH):
        part = vectors[at : at + BATCH]
        texts = [f"{name} {at + n}" for n in range(len(part))]
        database.write(owner, [Memory("", text, 1.0, session=name) for text in texts])
        place = {text: n for n, text in enumerate(texts)}
        rows = database.unembedded(embedder, limit=BATCH)
        blobs = [(number, text, part[place[text]].astype(np.float16).tobytes()) for number, text in rows]
        database.put_vectors(embedder, blobs)
        written = database.by_number(owner, [number for number, _ in rows])
        known = {row.memory.text: (row.memory.id, row.number) for row in written}
        found += [known[text] for text in texts]
    return found


def opened(folder: Path) -> Database:
    """A database that is quick to fill: what is measured comes later."""
    database = Database.open(folder / "memories.sqlite3")
    database.connection.pragma("synchronous", "OFF")
    return database
