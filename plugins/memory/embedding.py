"""Vectors for memories and questions: gives every memory its own, the newest first, and never makes a chat wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
import structlog

from hoshikage.core.errors import HoshikageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hoshikage import Embedder
    from hoshikage.plugins.memory.database import Database

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH: Final = 16
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0


class Write(Protocol):
    """Writes into the database."""

    async def __call__(self, call: Callable[[Database], T], /) -> T:
        """Run a call in the thread that writes.

        Raises:
            MemoryUnavailable: the file cannot be read or written.
        """
        ...


class Embedding:
    """Has an embedder turn memories and questions into vectors. Its owner starts and stops it, and closes the embedder.

    Args:
        embedder: whose vectors.
        write: see there.

    Attributes:
        number: of the embedder in the database, once this is started.
        ready: the embedder has answered once, so its model is loaded.
    """

    def __init__(self, embedder: Embedder, write: Write) -> None:
        self.embedder = embedder
        self.number = 0
        self.ready = False
        self._write = write
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with the memories that have no vector."""
        self.number = await self._write(lambda database: database.embedder(self.embedder.identity))
        self._work = asyncio.create_task(self._embed_all(), name="embedding of memories")

    async def stop(self) -> None:
        """End the work; what is missing is found again at the next start. Idempotent."""
        for task in filter(None, (self._work, self._warming)):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._work = self._warming = None

    def wake(self) -> None:
        """There are memories to look at."""
        self._news.set()

    async def vector_of(self, question: str, *, limit_s: float | None) -> NDArray[np.float32] | None:
        """The question's vector: shape (dimensions,); `None` where it takes longer, or the model is still to be loaded.

        Without a limit, it waits for both.
        """
        if not self.ready and limit_s is not None:
            self._warm_up()
            return None
        try:
            async with asyncio.timeout(limit_s):
                vectors = await self.embedder.embed([question], "query")
        except (TimeoutError, HoshikageError) as error:
            log.info("recall_by_words_alone", reason=str(error) or "the embedder took too long")
            return None
        self.ready = True
        vector: NDArray[np.float32] = vectors[0]
        return vector

    # --- inside ---

    def _warm_up(self) -> None:
        """Have the embedder load its model, for which no answer waits."""

        async def load() -> None:
            try:
                await self.embedder.embed([""], "query")
                self.ready = True
            except HoshikageError as error:
                log.warning("embedder_not_ready", embedder=self.embedder.name, reason=str(error))

        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(load(), name="loading of the embedder")

    async def _embed_all(self) -> None:
        """Give every memory its vector, whenever there are new ones."""
        wait_s = FIRST_WAIT_S
        while True:
            self._news.clear()
            try:
                done = await self._embed_some()
            except (HoshikageError, OSError) as error:
                log.warning("memories_not_embedded", embedder=self.embedder.name, reason=str(error), again_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                continue
            wait_s = FIRST_WAIT_S
            if not done:
                await self._news.wait()

    async def _embed_some(self) -> int:
        """Give a batch of memories their vectors. Returns how many were looked at."""
        texts = await self._write(lambda database: database.unembedded(self.number, limit=BATCH))
        if texts:
            vectors = await self.embedder.embed([text for _, text in texts], "document")
            self.ready = True
            blobs = [vector.astype(np.float16).tobytes() for vector in vectors]
            rows = [(number, text, blob) for (number, text), blob in zip(texts, blobs, strict=True)]
            await self._write(lambda database: database.put_vectors(self.number, rows))
        return len(texts)
