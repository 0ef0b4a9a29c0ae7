"""The memory store: what routes and the kernel talk to; the database works in threads of its own."""

from __future__ import annotations

import asyncio
import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import apsw
import structlog

from hoshikage import Memory, MemoryStats, Recall
from hoshikage.core.contracts import owner_of
from hoshikage.core.errors import InvalidRequest, MemoryDamaged, MemoryUnavailable
from hoshikage.plugins.memory.block import block_of
from hoshikage.plugins.memory.candidates import QUESTION_CHARS, candidates, first_look
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.digests.work import Digesting
from hoshikage.plugins.memory.embedding.asking import choose_embedder
from hoshikage.plugins.memory.embedding.work import Embedding
from hoshikage.plugins.memory.facts.claims import asks_for_the_past
from hoshikage.plugins.memory.index.chroma import IndexFailed
from hoshikage.plugins.memory.index.plan import Choice
from hoshikage.plugins.memory.index.shelves import INDEX_FOLDER, Folders
from hoshikage.plugins.memory.index.vector_index import VectorIndex
from hoshikage.plugins.memory.index.vectors import Matrices
from hoshikage.plugins.memory.keeping import why_refused
from hoshikage.plugins.memory.predecessor.taking_over import take_over
from hoshikage.plugins.memory.ranking import Weights
from hoshikage.plugins.memory.recalling import Bounds, choose, ranked
from hoshikage.plugins.memory.rows import owner_name
from hoshikage.plugins.memory.turns import newest_question, said_in, turn_of
from hoshikage.plugins.memory.upkeep.inspection import Inspection
from hoshikage.plugins.memory.upkeep.rereading import Rereading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hoshikage import Caller, ChatRequest, Embedder, MemoryCheck, MemoryMode, Owner, Recalled, Receipt
    from hoshikage.plugins.memory.digests.work import Digests
    from hoshikage.plugins.memory.index.shelves import Shelf
    from hoshikage.plugins.memory.settings import MemorySettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

FILE: Final = "memories.sqlite3"
VECTOR_SHARE: Final = 0.6  # of the time of a recall is the embedder's


class SqliteMemory:
    """Memories in one SQLite file. Implements `MemoryStore`.

    Reading and writing have a connection and a thread each, so that a recall waits for no writing.

    Args:
        settings: the section.
        folder: where the file is.
        embedders: one of them finds memories by meaning, see `choose_embedder`.
        digests: how old conversations are made short; without, they are not.
        shelf: where the indexes of large spaces are; without one they are in folders beside the file.
        predecessor: a folder with the predecessor's database, whose memories are taken in; `None`: there is none.
    """

    name = "sqlite"

    def __init__(
        self,
        settings: MemorySettings,
        folder: Path,
        embedders: Sequence[Embedder] = (),
        digests: Digests | None = None,
        *,
        shelf: Shelf | None = None,
        predecessor: Path | None = None,
    ) -> None:
        self._settings = settings
        self._file = folder / FILE
        self._weights = Weights()
        self._writing = ThreadPoolExecutor(1, "memory writing")
        self._reading = ThreadPoolExecutor(1, "memory reading")
        self._writer: Database | None = None
        self._reader: Database | None = None
        self._embedders = embedders
        self._embedding: Embedding | None = None
        self._rereading = Rereading(self._write)
        self._digesting = Digesting(digests, self._change, self._embedder_in_use) if digests is not None else None
        self._matrices: Matrices | None = None
        choice = Choice(settings.index, settings.exact_up_to)
        self._index = VectorIndex(shelf or Folders(folder / INDEX_FOLDER), choice, read=self._read, write=self._write)
        self._inspection = Inspection(self._file, self._index, self._write)
        self._predecessor = predecessor
        self._taking: asyncio.Task[int] | None = None
        self._deletions: set[asyncio.Task[Any]] = set()
        self._reason = "the server has not started it yet"
        self._damage = ""  # what is wrong with the file

    async def start(self) -> None:
        """See `MemoryStore.start`."""
        try:
            self._writer = await self._in(self._writing, self._open)
            self._reader = await self._in(self._reading, self._open)
        except MemoryUnavailable as error:
            self._reason = error.message
            log.warning("memory_unavailable", reason=self._reason)
            return
        self._rereading.start()
        if self._digesting is not None:
            self._digesting.start()
        embedder = await asyncio.to_thread(choose_embedder, self._settings.embedder, self._embedders)
        if embedder is not None:
            self._embedding = Embedding(embedder, self._write, self._know_vectors)
            await self._embedding.start()
        else:
            self._index.know(0, 1)  # what another start has left is taken away
        self._index.start()
        if self._predecessor is not None:
            taking = take_over(self._predecessor, self._file.parent, self._refuse, self._change)
            self._taking = asyncio.create_task(taking, name="import of the predecessor's memories")

    async def stop(self) -> None:
        """See `MemoryStore.stop`."""
        self._reason = "the server stops"
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)
        await asyncio.gather(*self._deletions, return_exceptions=True)
        await self._index.stop()
        await self._rereading.stop()
        if self._digesting is not None:
            await self._digesting.stop()
        if self._embedding is not None:
            await self._embedding.stop()
        for executor, database in ((self._writing, self._writer), (self._reading, self._reader)):
            if database is not None:
                await self._in(executor, partial(database.close, untouched=bool(self._damage)))
            executor.shutdown(wait=False)
        self._writer = self._reader = None

    def mode_of(self, caller: Caller) -> MemoryMode:
        """See `MemoryStore.mode_of`."""
        return caller.memory.mode or self._settings.mode

    # --- in a conversation ---

    async def recall(self, request: ChatRequest, caller: Caller) -> Recall:
        """See `MemoryStore.recall`."""
        question = newest_question(request)
        if not question:
            return Recall()
        limit_s = self._settings.recall_limit_s
        bounds = Bounds(self._settings.max_items, self._settings.max_tokens, self._settings.threshold)
        present, past = [message.content for message in request.messages], asks_for_the_past(question[-QUESTION_CHARS:])
        try:
            async with asyncio.timeout(limit_s):
                # In its thread as well: a hundred long memories are megabytes to look at.
                items = await self._search(
                    owner_of(caller),
                    question,
                    limit_s=limit_s * VECTOR_SHARE,
                    take=partial(
                        choose, bounds=bounds, present=present, outdated=past, question=question[-QUESTION_CHARS:]
                    ),
                )
        except TimeoutError as error:
            raise MemoryUnavailable(f"it took longer than the {limit_s:g} s of memory.recall_limit_s") from error
        return Recall(block_of(items), tuple(items))

    async def remember(self, request: ChatRequest, answer: str, receipt: Receipt) -> None:
        """See `MemoryStore.remember`."""
        longest = self._settings.max_text_chars
        for role, text in said_in(request, answer):
            if len(text) > longest:
                log.warning("turn_too_long_to_remember", role=role, characters=len(text), max_text_chars=longest)
        memories = turn_of(request, answer, receipt, longest=longest)
        if memories:
            owner = owner_of(receipt.caller)
            await self._change(lambda database: database.write(owner, memories))

    # --- for whoever looks after them ---

    async def newest(self, owner: Owner, *, limit: int) -> Sequence[Memory]:
        """See `MemoryStore.newest`."""
        return await self._read(lambda database: database.newest(owner, limit=limit))

    async def search(self, owner: Owner, query: str, *, limit: int) -> Sequence[Recalled]:
        """See `MemoryStore.search`."""
        return await self._search(owner, query, limit_s=None, take=partial(choose, bounds=Bounds(limit), outdated=True))

    async def add(self, owner: Owner, text: str, *, session: str = "") -> Memory:
        """See `MemoryStore.add`."""
        note = Memory("", self._checked(text), time.time(), session=session)
        written = await self._change(lambda database: database.write(owner, [note]))
        if written:
            return written[0]
        raise InvalidRequest("this text is remembered already", param="text")

    async def edit(self, owner: Owner, memory_id: str, text: str) -> Memory:
        """See `MemoryStore.edit`."""
        checked = self._checked(text)
        return await self._delete(lambda database: database.edit(owner, memory_id, checked))

    async def forget(self, owner: Owner, memory_id: str) -> None:
        """See `MemoryStore.forget`."""
        await self._delete(lambda database: database.forget(owner, memory_id))

    async def forget_all(self, owner: Owner) -> int:
        """See `MemoryStore.forget_all`."""
        return await self._delete(lambda database: database.forget(owner))

    async def export(self, owner: Owner) -> AsyncIterator[Memory]:
        """See `MemoryStore.export`."""
        number = 0
        while page := await self._read(lambda database: database.oldest_after(owner, number)):  # noqa: B023  awaited here
            for row in page:
                yield row.memory
            number = page[-1].number

    async def take(self, owner: Owner, memories: Sequence[Memory]) -> int:
        """See `MemoryStore.take`."""
        for memory in memories:
            self._checked(memory.text)
        said = [memory for memory in memories if memory.role != "digest"]  # digests are made of what was said
        return len(await self._change(lambda database: database.write(owner, said)))

    async def stats(self, owner: Owner | None = None) -> MemoryStats:
        """See `MemoryStore.stats`."""
        embedding = self._embedding

        def look(database: Database) -> MemoryStats:
            found = MemoryStats(*database.stats(owner))
            if embedding is None or not embedding.number:
                return found
            embedded = database.vectors.count(embedding.number, owner_name(owner) if owner is not None else None)
            return replace(found, embedder=embedding.embedder.identity, embedded=embedded)

        return await self._read(look)

    def verify(self) -> AsyncIterator[MemoryCheck]:
        """See `MemoryStore.verify`."""
        return self._inspection.verify(self._embedding)

    def rebuild(self) -> AsyncIterator[MemoryCheck]:
        """See `MemoryStore.rebuild`."""
        return self._inspection.rebuild(self._embedding)

    # --- meaning ---

    async def _delete(self, call: Callable[[Database], T]) -> T:
        """Run what deletes a text, to its end: whoever asked for it may be gone by then, and the text is to be too."""

        async def whole() -> T:
            try:
                async with self._inspection.deleting:
                    found = await self._change(call)
            except MemoryUnavailable:  # perhaps only the log could not be emptied
                await self._forget_vectors()
                raise
            await self._forget_vectors()
            return found

        deletion = asyncio.create_task(whole(), name="deletion of memories")
        self._deletions.add(deletion)
        deletion.add_done_callback(self._deletions.discard)
        return await asyncio.shield(deletion)

    async def _forget_vectors(self) -> None:
        """Keep nothing in memory, and in no index, that tells of what was forgotten."""
        if self._embedding is not None:
            self._embedding.forget()
        try:
            await self._index.sweep()
        except IndexFailed as error:
            raise MemoryUnavailable(
                f"it is gone from the memories, but its vector is still in the index: {error.message}; the index is "
                "not used any more, and its removal is tried again"
            ) from error

    async def _know_vectors(self) -> None:
        """It is known now of which embedder vectors are, and how long."""
        if self._embedding is not None and self._reader is not None:
            number, dimensions = self._embedding.number, self._embedding.embedder.dimensions
            self._matrices = Matrices(self._reader, number, dimensions)
            self._index.know(number, dimensions)

    def _embedder_in_use(self) -> Embedder | None:
        return self._embedding.embedder if self._embedding is not None and self._embedding.number else None

    async def _search(
        self,
        owner: Owner,
        question: str,
        *,
        limit_s: float | None,
        take: Callable[[list[Recalled]], list[Recalled]],
    ) -> list[Recalled]:
        """What fits a question, as `take` makes a choice of it in the thread that reads."""
        now = datetime.datetime.fromtimestamp(time.time()).astimezone()
        look, vector = await asyncio.gather(  # the embedder works in a process of its own
            self._read(lambda database: first_look(database, owner, question, now=now)),
            self._vector_of(owner, question[-QUESTION_CHARS:], limit_s=limit_s),
        )
        near = await self._index.nearest(owner, vector) if vector is not None else None

        def find(database: Database) -> list[Recalled]:
            meaning = None
            if vector is not None and self._matrices is not None and self._embedding is not None:
                meaning = self._matrices.meaning(owner, vector, self._embedding.embedder.related_from, near)
            found = candidates(database, owner, look, meaning)
            return take(ranked(found, self._weights) if found is not None else [])

        return await self._read(find)

    async def _vector_of(self, owner: Owner, question: str, *, limit_s: float | None) -> NDArray[np.float32] | None:
        if self._embedding is None:
            return None
        return await self._embedding.vector_of(owner, question, limit_s=limit_s)

    # --- inside ---

    def _open(self) -> Database:
        return Database.open(self._file)

    def _checked(self, text: str) -> str:
        """A text that can be kept.

        Raises:
            InvalidRequest: it is empty, too long, or no Unicode.
        """
        if why := self._refuse(text):
            raise InvalidRequest(why, param="text")
        return text

    def _refuse(self, text: str) -> str:
        return why_refused(text, longest=self._settings.max_text_chars)

    async def _read(self, call: Callable[[Database], T]) -> T:
        return await self._with(self._reading, self._reader, call)

    async def _write(self, call: Callable[[Database], T]) -> T:
        return await self._with(self._writing, self._writer, call)

    async def _change(self, call: Callable[[Database], T]) -> T:
        """Write what may need a vector."""
        changed = await self._write(call)
        if self._embedding is not None:
            self._embedding.wake()
        return changed

    async def _with(self, executor: ThreadPoolExecutor, database: Database | None, call: Callable[[Database], T]) -> T:
        if self._damage:
            raise MemoryDamaged(self._damage)
        if database is None:
            raise MemoryUnavailable(f"there is no memory: {self._reason}")
        try:
            return await self._in(executor, lambda: call(database))
        except (apsw.CorruptError, apsw.NotADBError) as error:
            if getattr(error, "extendedresult", 0) == apsw.SQLITE_CORRUPT_VTAB:  # that is made from the rest
                raise MemoryUnavailable("the index of words is damaged; run `hoshikage memory rebuild`") from error
            raise self._leave_alone(error) from error
        except apsw.Error as error:
            raise MemoryUnavailable(
                f"{self._file} cannot be read or written: {error}; look at its disk, then try again"
            ) from error

    def _leave_alone(self, error: apsw.Error) -> MemoryDamaged:
        """Neither read nor write from now on: what is written into a damaged file makes it harder to save."""
        if not self._damage:
            self._damage = (
                f"{self._file} is damaged ({error}), and is left as it is; stop the server, then move it away with the "
                f"{FILE}-* beside it, and put a copy in its place or begin anew"
            )
            log.error("memory_unavailable", reason=self._damage)
        return MemoryDamaged(self._damage)

    @staticmethod
    async def _in(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call)
