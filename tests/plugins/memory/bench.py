"""A database with vectors and the index beside it, for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.index.plan import Choice
from hoshikage.plugins.memory.index.shelves import Folders, Shelf
from hoshikage.plugins.memory.index.vector_index import VectorIndex
from hoshikage.plugins.memory.index.vectors import Matrices

DIMENSIONS = 32
INDEX_LIMIT_S = 20.0
OWNER = Owner("a")


def clustered(count: int, seed: int = 1) -> np.ndarray:
    """Vectors of texts lie in clusters; random ones hide what Chroma loses."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(max(count // 50, 1), DIMENSIONS))
    found = centres[chance.integers(len(centres), size=count)] + 0.3 * chance.normal(size=(count, DIMENSIONS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


class Bench:
    """A database and its index, on one thread: the test's."""

    def __init__(self, folder: Path, *, index: str = "chroma", limit: int = 0, shelf: Shelf | None = None) -> None:
        self.folder = folder
        self.database = Database.open(folder / "m.sqlite3")
        self.embedder = self.database.embedder("numbers")
        self.matrices = Matrices(self.database, self.embedder, DIMENSIONS)
        self.shelf = shelf or Folders(folder / "index")
        self.index = VectorIndex(
            self.shelf,
            Choice(index, limit),
            read=self.call,
            write=self.call,
        )
        self.index.know(self.embedder, DIMENSIONS)

    async def call(self, work):
        return work(self.database)

    def tell(self, owner: Owner, vectors: np.ndarray, name: str = "text") -> list[Memory]:
        """Write memories with these vectors."""
        texts = [f"{name} {n}" for n in range(len(vectors))]
        written = self.database.write(owner, [Memory("", text, 1.0, session=text) for text in texts])
        by_text = {f"{text}": vector for text, vector in zip(texts, vectors, strict=True)}
        while rows := self.database.unembedded(self.embedder, limit=500):
            self.database.put_vectors(
                self.embedder, [(n, text, by_text[text].astype(np.float16).tobytes()) for n, text in rows]
            )
        return written

    async def indexed(self, *owners: Owner) -> None:
        """Wait until the index serves these."""
        if self.index._work is None:
            self.index.start()
        async with asyncio.timeout(INDEX_LIMIT_S):
            for owner in owners:
                await self.index.serves(owner)

    async def found(self, owner: Owner, question: np.ndarray, count: int = 1) -> list[str]:
        """The texts of the nearest memories, the nearest first."""
        near = await self.index.nearest(owner, question)
        meaning = self.matrices.meaning(owner, question, 0.5, near)
        best = sorted(zip(meaning.cosines, meaning.numbers, strict=True), reverse=True)[:count]
        rows = {row.number: row for row in self.database.by_number(owner, [int(n) for _, n in best])}
        return [rows[int(n)].memory.text for _, n in best if int(n) in rows]

    def files(self) -> list[Path]:
        return [file for file in self.folder.rglob("*") if file.is_file()]

    def collections(self) -> list[Path]:
        return [folder for folder in (self.folder / "index").glob("*") if folder.is_dir()]

    async def close(self) -> None:
        await self.index.stop()
        self.database.close()
