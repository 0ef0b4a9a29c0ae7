"""What the rows of memory work with: the data sets that are not ours, vectors that are computed once, and a folder."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hoshikage import Embedder, TextKind

JSQUAD: Final = "jsquad/jsquad-valid-v1.3.json"
LOCOMO: Final = "locomo/locomo_first5.json"
BATCH: Final = 64
TOLD_EACH: Final = 512


@dataclass(frozen=True, slots=True)
class Ground:
    """Where everything is.

    Attributes:
        data: the folder of JSQuAD and LoCoMo, neither of which is part of this project.
        folder: this run's own, gone afterwards.
        vectors: where vectors are kept between runs, as computing them takes minutes.
        short: whether only to show that everything works.
        english: a second embedder, for a baseline that others publish; `None` leaves it out.
    """

    data: Path
    folder: Path
    vectors: Path
    model: Path
    embedder: Embedder
    n_threads: int
    short: bool
    english: Embedder | None = None
    _known: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def data_file(self, name: str) -> Path | None:
        """A file of the data sets; `None` where it is not there."""
        file = self.data / name
        return file if file.is_file() else None

    async def vectors_of(
        self, texts: Sequence[str], kind: TextKind, *, embedder: Embedder | None = None
    ) -> NDArray[np.float32]:
        """The embedder's vectors, from an earlier run where there was one: shape (texts, dimensions).

        Raises:
            EmbedderFailed: it cannot be loaded, or died.
        """
        embedder = embedder or self.embedder
        await embedder.start()
        digest = hashlib.sha256("\0".join((embedder.identity, kind, *texts)).encode()).hexdigest()[:24]
        if digest not in self._known:
            file = self.vectors / f"{digest}.npy"
            if not file.is_file():
                await _compute(embedder, texts, kind, file)
            self._known[digest] = np.load(file).astype(np.float32)
        return self._known[digest]


async def _compute(embedder: Embedder, texts: Sequence[str], kind: TextKind, file: Path) -> None:
    found = []
    for start in range(0, len(texts), BATCH):
        found.append(await embedder.embed(texts[start : start + BATCH], kind))
        if start % TOLD_EACH == 0 and len(texts) > TOLD_EACH:
            say(f"  vectors: {start} of {len(texts)}")
    await asyncio.to_thread(_write, file, np.concatenate(found).astype(np.float16))


def _write(file: Path, vectors: NDArray[np.float16]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part.npy")
    np.save(beside, vectors)
    beside.replace(file)
