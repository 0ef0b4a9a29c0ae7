"""The indexes of large spaces: made beside the exact search, used once they are complete, and gone before they lie.

The record is the database; a collection is a copy of a space's vectors as they were. It is written once, every vector
of it is looked for, and it is dropped as soon as one of them is deleted or edited: a collection that only grows in one
go loses hardly anything, and what it does lose is known and looked at one by one. Whatever is not in a collection yet,
or has none, is searched exactly.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from hoshikage.core.errors import HoshikageError, MemoryDamaged
from hoshikage.plugins.memory.index.chroma import Collection, IndexDamaged, IndexFailed
from hoshikage.plugins.memory.index.contents import ITSELF_AMONG, Contents, not_found
from hoshikage.plugins.memory.index.plan import due, stale, unwanted
from hoshikage.plugins.memory.index.records import Indexed, Space
from hoshikage.plugins.memory.index.threads import IndexThreads
from hoshikage.plugins.memory.index.vectors import Near
from hoshikage.plugins.memory.rows import owner_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hoshikage import Owner
    from hoshikage.plugins.memory.embedding.work import Write
    from hoshikage.plugins.memory.index.plan import Choice
    from hoshikage.plugins.memory.index.shelves import Shelf

log = structlog.get_logger(__name__)

T = TypeVar("T")

NEAREST: Final = 100
SAMPLE: Final = 100
LOOK_EVERY_S: Final = 5.0
LONGEST_WAIT_S: Final = 300.0
SETTLE_S: Final = 60.0  # deletions seldom come alone, and to make an index takes minutes
PREFIX: Final = "hoshikage"
FAILURES: Final = 2  # in use; then a collection is made anew


@dataclass(frozen=True, slots=True)
class Opened:
    """A collection in use."""

    row: Indexed
    collection: Collection


@dataclass(slots=True)
class Making:
    """A collection that is being made."""

    space: Space
    name: str
    task: asyncio.Task[bool]


class VectorIndex:
    """Decides how a space is searched, and keeps the collections that it takes. One process owns them.

    Args:
        shelf: where collections are.
        choice: see there.
        read: runs a call in the thread that reads the database.
        write: the same for the one that writes.
    """

    def __init__(self, shelf: Shelf, choice: Choice, *, read: Write, write: Write) -> None:
        self._shelf = shelf
        self._choice = choice
        self._embedder: int | None = None
        self._contents = Contents(read, 0, 1)
        self._read = read
        self._write = write
        self._threads = IndexThreads()
        self._lock = asyncio.Lock()  # of what is opened, and what is made
        self._opened: dict[str, Opened] = {}  # by the hashed name of the owner
        self._failures: dict[str, int] = {}  # by collection
        self._settling: dict[int, float] = {}  # spaces that lost something, and until when they are left alone
        self._making: Making | None = None
        self._asked: asyncio.Future[list[tuple[list[int], list[float]]]] | None = None  # took too long
        self._prefix = ""  # of the names of our collections, once the shelf is ours
        self._seen: tuple[int, ...] = ()
        self._doubted = False  # something is not as it was when that was seen
        self._wake = asyncio.Event()
        self._served = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._said = ""

    def know(self, embedder: int, dimensions: int) -> None:
        """Learn whose vectors are searched, by its number in the database; until then, indexes only go."""
        self._embedder, self._contents = embedder, Contents(self._read, embedder, dimensions)
        self._doubted = True
        self._wake.set()

    def start(self) -> None:
        """Begin to look after the indexes."""
        self._work = asyncio.create_task(self._look_after(), name="vector index of memory")

    async def stop(self) -> None:
        """Let go of everything; what was not complete is made anew. Idempotent."""
        if self._work is not None:
            self._work.cancel()  # and with it what it makes
            await asyncio.gather(self._work, return_exceptions=True)
        opened, self._opened = list(self._opened.values()), {}
        for one in opened:
            await self._threads.close(one.collection)
        if self._prefix:
            await self._threads.change(self._shelf.stop)
            self._prefix = ""
        self._threads.stop()

    async def serves(self, owner: Owner) -> None:
        """Do at once whatever is due, and wait until the owner has an index that is used."""
        while owner_name(owner) not in self._opened:
            self._settling.clear()
            self._served.clear()
            self._wake.set()
            await self._served.wait()

    # --- searching ---

    async def nearest(self, owner: Owner, question: NDArray[np.float32]) -> Near | None:
        """The nearest memories by the owner's index; `None` where there is none, or it cannot say now.

        Args:
            owner: whose.
            question: of length 1: shape (dimensions,).
        """
        opened = self._opened.get(owner_name(owner))
        if opened is None or (self._asked is not None and not self._asked.done()):
            return None
        collection, row = opened.collection, opened.row
        asked = self._threads.ask(lambda: collection.nearest(question[None], min(NEAREST, row.count)))
        self._asked = None
        try:
            ((numbers, _),) = await asyncio.shield(asked)
        except asyncio.CancelledError:  # the recall has run out of time: until this is answered, nobody asks again
            self._asked = asked
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        except IndexFailed as error:
            self._fail(owner_name(owner), opened, error)
            return None
        return Near(row, numbers)

    def _fail(self, name: str, opened: Opened, error: IndexFailed) -> None:
        """Do without a collection until it was looked at."""
        if self._opened.get(name) is opened:
            del self._opened[name]
            self._threads.let_go(opened.collection)
            collection = opened.row.collection
            self._failures[collection] = self._failures.get(collection, 0) + 1
            log.warning("vector_index_failed", reason=str(error), meanwhile="meaning is searched exactly")
            self._doubted = True
            self._wake.set()

    # --- keeping ---

    async def sweep(self) -> None:
        """Take away every collection that holds something deleted or edited, before a deletion is acknowledged.

        Raises:
            IndexFailed: one cannot be taken away; it is tried again, and not used.
        """
        async with self._lock:
            rows, versions = await self._read(lambda database: (database.index.indexed(), database.index.versions()))
            if (making := self._making) and (making.space.number, making.space.deletions) not in versions:
                making.task.cancel()
                await asyncio.gather(making.task, return_exceptions=True)
                await self._threads.change(lambda: self._shelf.drop(making.name))
                self._settling[making.space.number] = time.monotonic() + SETTLE_S
            for row in stale(rows, versions):
                self._settling[row.space] = time.monotonic() + SETTLE_S
                await self._remove(row)

    async def make_anew(self) -> AsyncIterator[tuple[int, int]]:
        """Drop all collections and make those that are wanted. Yields how many are there, and how many are wanted."""
        async with self._lock:
            for row in await self._read(lambda database: database.index.indexed()):
                await self._remove(row)
        self._doubted, self._said = True, ""
        self._settling.clear()
        self._wake.set()
        spaces = await self._spaces()
        wanted = {space.owner for space in spaces if self._choice.way(space.vectors, indexed=False) == "chroma"}
        while missing := len(wanted - self._opened.keys()):
            yield len(wanted) - missing, len(wanted)
            await asyncio.sleep(0.1)
            if self._said:  # the work has failed and says why
                raise IndexFailed(self._said)
        yield len(wanted), len(wanted)

    async def check(self) -> AsyncIterator[tuple[int, int, int]]:
        """Look for every vector of every collection by itself.

        Yields how many were looked for, how many there are, and how many were not found though nothing said so.
        """
        opened = list(self._opened.values())
        total, looked_at, missed = sum(one.row.count for one in opened), 0, 0
        for one in opened:
            async for memories, vectors in self._contents.pages(one.row.space, up_to=one.row.newest):
                lost = await self._missing(one.collection, memories, vectors)
                looked_at, missed = looked_at + len(memories), missed + len(set(lost) - set(one.row.strays))
                yield looked_at, total, missed

    @property
    def trouble(self) -> str:
        """Why collections are not used where they should be; empty where they are."""
        return self._said

    async def _look_after(self) -> None:
        wait_s = LOOK_EVERY_S
        while True:
            self._wake.clear()
            try:
                await self._look()
                wait_s, self._said = LOOK_EVERY_S, ""
            except MemoryDamaged:
                return  # the log says so already
            except (HoshikageError, OSError) as error:
                if self._said != str(error):
                    log.warning("vector_index_unavailable", reason=str(error), meanwhile="meaning is searched exactly")
                self._said, self._doubted = str(error), True
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        """Do whatever is due."""
        state = await self._read(lambda database: database.index.state())
        if state == self._seen and not self._doubted:
            return
        self._doubted = False
        known = await self._read(lambda database: database.index.indexed())
        if known or self._shelf.used():
            await self._begin()
            await self.sweep()
        if self._embedder is not None:
            spaces = await self._spaces()
            await self._use_or_remove(self._embedder, spaces)
            await self._make_due(spaces)
            self._seen = state

    async def _use_or_remove(self, embedder: int, spaces: list[Space]) -> None:
        """Open what is complete and wanted."""
        rows = await self._read(lambda database: database.index.indexed())
        unneeded = unwanted(rows, spaces, embedder=embedder, choice=self._choice)
        owners = {space.number: space.owner for space in spaces}
        for row in rows:
            async with self._lock:
                if row in unneeded:
                    await self._remove(row)
                elif row.space in owners:
                    await self._use(row, owners[row.space])

    async def _make_due(self, spaces: list[Space]) -> None:
        """Make what is missing. Where that fails for one person, the others get theirs all the same."""
        rows, failed = await self._read(lambda database: database.index.indexed()), None
        for space in due(rows, spaces, self._choice):
            if self._settling.get(space.number, 0) > time.monotonic():
                self._doubted = True
                continue
            try:
                await self._begin()
                await self._make(space)
            except IndexFailed as error:
                failed = error
        if failed is not None:
            raise failed

    async def _spaces(self) -> list[Space]:
        """In the thread that writes: this reads an entry for each vector, and a recall must not wait for it."""
        embedder = self._embedder or 0
        return await self._write(lambda database: database.index.spaces(embedder))

    async def _begin(self) -> None:
        """Become the owner of the shelf, and take away what was left half made."""
        await self._threads.change(self._shelf.start)
        if not self._prefix:
            prefix = f"{PREFIX}-{await self._read(lambda database: database.index.identity())}-"
            known = {row.collection for row in await self._read(lambda database: database.index.indexed())}
            for name in await self._threads.change(lambda: self._shelf.names(prefix)):
                if name not in known:
                    await self._threads.change(partial(self._shelf.drop, name))
            self._prefix = prefix

    async def _use(self, row: Indexed, owner: str) -> None:
        """Open a collection that is not open, or take it away if it is damaged."""
        if owner in self._opened:
            return
        try:
            collection = await self._threads.change(lambda: self._reopened(row))
            seal = await self._threads.change(lambda: self._shelf.seal(row.collection))  # opening may have written
            if seal != row.seal:
                row = replace(row, seal=seal)
                await self._write(lambda database: database.index.mark(row))
        except IndexDamaged as error:
            log.warning("vector_index_damaged", reason=str(error), action="it is made anew from the memories")
            await self._remove(row)
            return
        self._opened[owner] = Opened(row, collection)
        self._served.set()

    def _reopened(self, row: Indexed) -> Collection:
        if self._failures.get(row.collection, 0) >= FAILURES:
            raise IndexDamaged(f"{row.collection} failed again and again")
        return self._shelf.open(row.collection, count=row.count, seal=row.seal)

    async def _remove(self, row: Indexed) -> None:
        """Take a collection away, and then its record."""
        for owner, opened in list(self._opened.items()):
            if opened.row.collection == row.collection:
                del self._opened[owner]
                await self._threads.close(opened.collection)
        await self._threads.change(self._shelf.start)
        await self._threads.change(lambda: self._shelf.drop(row.collection))
        await self._write(lambda database: database.index.unmark(row.collection))

    # --- making ---

    async def _make(self, space: Space) -> None:
        """Make a space's collection, unless something of it is deleted meanwhile."""
        name = f"{self._prefix}{secrets.token_hex(8)}"
        task = asyncio.create_task(self._fill(space, name), name="making of a vector index")
        self._making = Making(space, name, task)
        try:
            await asyncio.wait([task])
            complete = not task.cancelled() and task.exception() is None and task.result()
            if not complete:
                await self._threads.change(lambda: self._shelf.drop(name))
            if not task.cancelled():  # by `sweep`
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._making = None

    async def _fill(self, space: Space, name: str) -> bool:
        """Fill a collection, look for each of its vectors, and use it. `False` if something was deleted meanwhile."""
        started = time.monotonic()
        collection = await self._threads.change(lambda: self._shelf.make(name))
        try:
            known: list[int] = []
            async for memories, vectors in self._contents.pages(space.number, up_to=space.newest):
                await self._threads.gently(partial(collection.add, memories, vectors))
                known += memories
        finally:
            await self._threads.close(collection)
        if not (count := len(known)):
            raise IndexFailed("none of a person's vectors can be indexed; run `hoshikage memory verify`")
        # What is served is what was read back from the disk.
        collection = await self._threads.change(lambda: self._shelf.open(name, count=count, seal=""))
        try:
            strays: list[int] = []
            async for memories, vectors in self._contents.pages(space.number, up_to=space.newest):
                strays += await self._missing(collection, memories, vectors)
            seal = await self._threads.change(lambda: self._shelf.seal(name))
            sample = tuple(known[:: max(1, count // SAMPLE)])
            found = (count, name, tuple(strays), sample, seal)
            row = Indexed(space.number, self._embedder or 0, space.deletions, space.newest, *found)
            former = [one for one in await self._read(lambda database: database.index.indexed()) if row.replaces(one)]
            marked = await self._write(lambda database: database.index.mark(row))
        except BaseException:
            await asyncio.shield(self._threads.close(collection))
            raise
        if not marked:
            await self._threads.close(collection)
            return False
        replaced, self._opened[space.owner] = self._opened.get(space.owner), Opened(row, collection)
        self._served.set()
        log.info("vector_index_made", vectors=count, strays=len(strays), seconds=round(time.monotonic() - started, 1))
        if replaced is not None:
            await self._threads.close(replaced.collection)
        for one in former:
            await self._threads.change(partial(self._shelf.drop, one.collection))
        return True

    async def _missing(
        self, collection: Collection, memories: Sequence[int], vectors: NDArray[np.float32]
    ) -> list[int]:
        return not_found(memories, await self._threads.gently(lambda: collection.nearest(vectors, ITSELF_AMONG)))
