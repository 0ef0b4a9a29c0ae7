"""Verifying and rebuilding the store: one at a time, beside everything else."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import apsw

from hoshikage import MemoryCheck
from hoshikage.core.errors import MemoryUnavailable
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.index.chroma import IndexFailed
from hoshikage.plugins.memory.upkeep import checking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from hoshikage.plugins.memory.embedding.work import Embedding, Write
    from hoshikage.plugins.memory.index.vector_index import VectorIndex

    Say = Callable[[MemoryCheck], None]
    Look = Callable[[apsw.Connection], Iterator[MemoryCheck]]


class Inspection:
    """What `MemoryStore.verify` and `MemoryStore.rebuild` do.

    Args:
        file: the database.
        index: of its vectors.
        write: runs a call in the thread that writes.

    Attributes:
        deleting: for whoever deletes. As long as a check reads, the log cannot be emptied of what was deleted.
    """

    def __init__(self, file: Path, index: VectorIndex, write: Write) -> None:
        self.deleting = asyncio.Lock()
        self._file = file
        self._index = index
        self._write = write
        self._one_at_a_time = asyncio.Lock()

    def verify(self, embedding: Embedding | None) -> AsyncIterator[MemoryCheck]:
        """See `MemoryStore.verify`.

        Args:
            embedding: where there is an embedder.
        """
        return _told(partial(self._verify, embedding))

    def rebuild(self, embedding: Embedding | None) -> AsyncIterator[MemoryCheck]:
        """See `MemoryStore.rebuild`, and `verify` for the argument."""
        return _told(partial(self._rebuild, embedding))

    async def _verify(self, embedding: Embedding | None, say: Say) -> None:
        await self._write(lambda _: None)  # whether there is a memory at all
        looks: list[Look] = [checking.check_file, checking.check_words]
        if embedding is not None and (number := embedding.number):
            dimensions = embedding.embedder.dimensions
            looks.append(partial(checking.check_vectors, embedder=number, dimensions=dimensions))
        async with self._one_at_a_time:
            for look in looks:
                async with self.deleting:
                    await self._look(look, say)
            await self._look_at_index(say)

    async def _look(self, look: Look, say: Say) -> None:
        """Look by a connection and in a thread of its own, so that no recall waits."""
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def whole() -> None:
            with closing(Database.open(self._file)) as database:
                for step in look(database.connection):
                    if stopped.is_set():
                        return
                    loop.call_soon_threadsafe(say, step)

        looking = asyncio.create_task(asyncio.to_thread(whole), name="look at the memory's file")
        try:
            await asyncio.shield(looking)
        except apsw.Error as error:
            raise MemoryUnavailable(f"{self._file} cannot be read: {error}; {checking.RESTORE}") from error
        finally:
            stopped.set()
            await asyncio.wait([looking])

    async def _look_at_index(self, say: Say) -> None:
        looked_at = total = 0
        try:
            async for looked_at, total, missed in self._index.check():
                say(MemoryCheck("index", looked_at, total, missed, checking.REBUILD if missed else ""))
        except IndexFailed as error:
            say(MemoryCheck("index", looked_at, total, total - looked_at, f"{error.message}; {checking.REBUILD}"))
            return
        if not total:
            say(MemoryCheck("index", 0, 0, advice=self._index.trouble or "every search is exact"))

    async def _rebuild(self, embedding: Embedding | None, say: Say) -> None:
        loop = asyncio.get_running_loop()

        def tell(step: MemoryCheck) -> None:
            loop.call_soon_threadsafe(say, step)

        def words(database: Database) -> None:
            database.words.make_anew(tell)
            database.empty_log()

        async with self._one_at_a_time:
            await self._write(words)
            if embedding is not None and (number := embedding.number):
                dimensions = embedding.embedder.dimensions
                bad = await self._write(lambda base: checking.drop_bad_vectors(base.connection, number, dimensions))
                embedding.wake()
                advice = "they are embedded again in the background" if bad else ""
                say(MemoryCheck("vectors", bad, bad, bad, advice))
            done = total = 0
            try:
                async for done, total in self._index.make_anew():
                    say(MemoryCheck("index", done, total))
            except IndexFailed as error:
                say(MemoryCheck("index", done, total, total - done, f"{error.message}; meaning is searched exactly"))


async def _told(work: Callable[[Say], Awaitable[None]]) -> AsyncIterator[MemoryCheck]:
    """Do the work, and yield what it says. It does not wait for whoever listens, since others wait for it."""
    said: asyncio.Queue[MemoryCheck | None] = asyncio.Queue()

    async def whole() -> None:
        try:
            await work(said.put_nowait)
        finally:
            said.put_nowait(None)

    working = asyncio.create_task(whole(), name="inspection of memory")
    try:
        while (step := await said.get()) is not None:
            yield step
        await working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
