"""How long a recall takes where very much is remembered, by one person or by a hundred."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Sample, percentile
from benchmarks.memory.crowd import OWNERS, fill, owner_of
from benchmarks.memory.rows.base import MemoryRow
from benchmarks.memory.targets import WITH_MEANING, WORDS
from benchmarks.terminal import say
from hoshikage import Caller, ChatRequest, MemoryUse, Message
from hoshikage.plugins.memory.settings import MemorySettings
from hoshikage.plugins.memory.store import SqliteMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.memory.ground import Ground

MEMORIES, SHORT_MEMORIES = 100_000, 2_000
ROUNDS, SHORT_ROUNDS = 5, 1
QUESTIONS, SHORT_QUESTIONS = 200, 20
NO_LIMIT_S: Final = 60.0
ALONE: Final = "the embedder alone"


class Latency(MemoryRow):
    """The store's whole recall: the question's vector, the search, the ranking, the block."""

    headline = (("p50_ms", "ms"), ("p95_ms", "ms"), ("most_ms", "ms"))

    def __init__(self, ground: Ground, owners: int) -> None:
        super().__init__(ground)
        self.name = f"recall-{owners}"
        self.owners = owners
        whose = f"of {owners} people" if owners > 1 else "of one person"
        self.title = f"A recall among {MEMORIES:,} memories {whose}"

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        short = self.ground.short
        folder = self.ground.folder / self.name
        count = SHORT_MEMORIES if short else MEMORIES
        say(f"  writing {count:,} memories")
        questions = await asyncio.to_thread(fill, self.ground, folder, count=count, owners=self.owners)
        self.notes.append(
            f"{count:,} memories; a row of {QUESTIONS} questions in each round, one at a time, each to the memories of "
            "a person by chance; the vectors of the memories are made up, as that changes nothing about the time"
        )
        for who, embedder in ((WORDS, "none"), (WITH_MEANING, "")):
            settings = MemorySettings(mode="read", embedder=embedder, recall_limit_s=NO_LIMIT_S)
            store = SqliteMemory(settings, folder, [self.ground.embedder])
            await store.start()
            try:
                for number in range(1, (SHORT_ROUNDS if short else ROUNDS) + 1):
                    chosen = random.Random(number).sample(questions, SHORT_QUESTIONS if short else QUESTIONS)
                    if number == 1:  # the first of everybody opens files and reads matrices
                        await self._warm(store, chosen[0])
                    yield _sample(who, number, [await self._recall(store, q, number + n) for n, q in enumerate(chosen)])
                    if who == WITH_MEANING:
                        yield _sample(ALONE, number, [await self._embed(question) for question in chosen])
            finally:
                await store.stop()

    async def _warm(self, store: SqliteMemory, text: str) -> None:
        await store.search(owner_of(0), text, limit=1)
        for n in range(min(self.owners, OWNERS)):
            await self._recall(store, text, n)

    async def _recall(self, store: SqliteMemory, text: str, number: int) -> float:
        """Milliseconds of one recall."""
        use = MemoryUse("read", owner_of(number % self.owners).user)
        request = ChatRequest("", "", (Message("user", text),))
        began = time.perf_counter()
        await store.recall(request, Caller("", memory=use))
        return 1_000 * (time.perf_counter() - began)

    async def _embed(self, text: str) -> float:
        """Milliseconds of a question's vector, in the embedder's process."""
        began = time.perf_counter()
        await self.ground.embedder.embed([text], "query")
        return 1_000 * (time.perf_counter() - began)


def _sample(who: str, number: int, took: list[float]) -> Sample:
    values = {"p50_ms": percentile(took, 50), "p95_ms": percentile(took, 95), "most_ms": max(took)}
    return Sample(who, number, values)
