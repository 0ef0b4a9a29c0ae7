"""Vectors for memories and questions: gives every memory its own, the newest first, and never makes a chat wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
import structlog

from hoshikage.core.errors import EmbedderFailed, HoshikageError, MemoryDamaged
from hoshikage.plugins.memory.embedding.asking import start_embedder, vectors_of
from hoshikage.plugins.memory.embedding.backlog import Progress, batch_size
from hoshikage.plugins.memory.embedding.cache import VectorCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from hoshikage import Embedder, Owner, TextKind
    from hoshikage.plugins.memory.database import Database

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH: Final = 16
HARMLESS: Final = "A cat sleeps. 猫が寝ている。"
DROPPED_AT_ONCE: Final = 500
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0


def name_of(embedder: Embedder) -> str:
    """What the file calls an embedder: vectors of another length are another's, whatever its identity."""
    return f"{embedder.identity} ({embedder.dimensions} numbers)"


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
        opened: awaited once, when the embedder's vectors are known, and with them `number`.

    Attributes:
        number: of the embedder in the database; 0 until it has started.
        ready: the embedder has answered once, so its model is loaded.
    """

    def __init__(self, embedder: Embedder, write: Write, opened: Callable[[], Awaitable[None]]) -> None:
        self.embedder = embedder
        self.number = 0
        self.ready = False
        self._write = write
        self._opened = opened
        self._opening = asyncio.Lock()
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._said = ""  # the last failure that the log was told of
        self._late = False  # the last question was not answered in time, and the log was told
        self._cache = VectorCache()
        self._refused: set[int] = set()  # numbers of memories that the embedder fails at

    async def start(self) -> None:
        """Begin with the memories that have no vector. An embedder that cannot start yet is asked again later."""
        try:
            await self._open()
        except HoshikageError as error:
            self._say(error)
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

    def forget(self) -> None:
        """Keep no vector of what was forgotten or corrected: they are few and cheap, so all of them go."""
        self._cache.clear()
        self._refused.clear()

    async def vector_of(self, owner: Owner, question: str, *, limit_s: float | None) -> NDArray[np.float32] | None:
        """The question's vector: shape (dimensions,); `None` where it takes longer, or the model is still to be loaded.

        Without a limit, it waits for both. What one owner asked before is known, to that owner alone: how long an
        answer takes must not tell what others ask.
        """
        if not self.ready and limit_s is not None:
            self._warm_up()
            return None
        if (known := self._cache.get(question, owner)) is not None:
            return known
        generation = self._cache.generation
        try:
            async with asyncio.timeout(limit_s):
                vector: NDArray[np.float32] = (await self._vectors([question], "query"))[0]
        except (TimeoutError, HoshikageError) as error:
            tell = log.debug if self._late else log.info  # on a slow machine it would be a line for every request
            tell("recall_by_words_alone", reason=str(error) or "the embedder took too long")
            self._late = True
            return None
        self._late = False
        self._cache.put(question, vector, owner, generation=generation)
        return vector

    # --- inside ---

    async def _open(self) -> None:
        """Learn what the embedder's vectors are; those of another length are another's, whatever their name."""
        async with self._opening:
            if self.number:
                return
            embedder = self.embedder
            await start_embedder(embedder)
            name = name_of(embedder)
            number = await self._write(lambda database: database.embedder(name))
            missing, others = await self._write(lambda d: (d.vectors.missing(number), d.vectors.others(number)))
            self.number = number
            log.info("embedder_chosen", embedder=embedder.name, identity=name, memories_to_embed=missing)
            if others and missing:
                log.info("memories_are_embedded_again", instead_of=others, memories=missing)
            await self._opened()

    async def _vectors(self, texts: list[str], kind: TextKind) -> NDArray[np.float32]:
        """Ask the embedder.

        Raises:
            EmbedderFailed: see `vectors_of`.
        """
        await self._open()
        vectors = await vectors_of(self.embedder, texts, kind)
        self.ready = True
        return vectors

    def _warm_up(self) -> None:
        """Have the embedder load its model, for which no answer waits."""

        async def load() -> None:
            try:
                await self._vectors([""], "query")
            except HoshikageError as error:
                self._say(error)

        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(load(), name="loading of the embedder")

    def _say(self, error: Exception) -> None:
        """Tell the log of a failure, once as long as it is the same."""
        if (reason := str(error)) != self._said:
            log.warning("memories_by_words_alone", embedder=self.embedder.name, reason=reason)
        self._said = reason

    async def _embed_all(self) -> None:
        """Give every memory its vector, whenever there are new ones."""
        wait_s, tidy = FIRST_WAIT_S, False
        progress = Progress(self.embedder.name)
        while True:
            self._news.clear()
            try:
                await self._open()
                done = await self._embed_some()
                if not done and not tidy:
                    await self._drop_others()
                    tidy = True
            except MemoryDamaged:
                return  # the log says so already
            except (HoshikageError, OSError) as error:
                self._say(error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                continue
            wait_s, self._said = FIRST_WAIT_S, ""
            if progress.is_due(done):
                progress.say(await self._write(lambda database: database.vectors.missing(self.number)))
            if not done:
                await self._news.wait()

    async def _embed_some(self) -> int:
        """Give a batch of memories their vectors. Returns how many were looked at."""
        waiting = await self._write(lambda d: d.unembedded(self.number, limit=BATCH + len(self._refused)))
        able = [(number, text) for number, text in waiting if number not in self._refused]
        rows = able[: batch_size([len(text) for _, text in able])]
        if not rows:
            return 0
        try:
            vectors = await self._vectors_of_memories([text for _, text in rows])
        except EmbedderFailed:
            await self._refuse_culprits(rows)
            return len(rows)
        blobs = [vector.astype(np.float16).tobytes() for vector in vectors]
        found = [(number, text, blob) for (number, text), blob in zip(rows, blobs, strict=True)]
        await self._write(lambda database: database.put_vectors(self.number, found))
        return len(rows)

    async def _vectors_of_memories(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """One for each text; equal ones are computed once."""
        generation = self._cache.generation
        found = {text: vector for text in texts if (vector := self._cache.get(text)) is not None}
        if new := [text for text in dict.fromkeys(texts) if text not in found]:
            for text, vector in zip(new, await self._vectors(new, "document"), strict=True):
                found[text] = vector
                self._cache.put(text, vector, generation=generation)
        return [found[text] for text in texts]

    async def _refuse_culprits(self, rows: Sequence[tuple[int, str]]) -> None:
        """Find the texts that the embedder fails at, so that no other memory waits behind them.

        Raises:
            EmbedderFailed: it fails at any text.
        """
        await self._vectors([HARMLESS], "document")
        for number, text in rows:
            try:
                await self._vectors([text], "document")
            except EmbedderFailed as error:
                self._refused.add(number)
                log.warning("memory_not_embedded", embedder=self.embedder.name, row=number, reason=str(error))

    async def _drop_others(self) -> None:
        """Delete the vectors of embedders that are not used any more, now that all memories have new ones."""
        gone = 0
        while some := await self._write(lambda d: d.vectors.drop_others(self.number, limit=DROPPED_AT_ONCE)):
            gone += some
        if gone:
            log.info("old_vectors_deleted", vectors=gone)
