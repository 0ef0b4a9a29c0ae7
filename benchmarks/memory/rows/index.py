"""How vectors are searched: what three ways cost, and what each reaches after memories have changed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.figures import OURS, Sample
from benchmarks.memory import index_choice, reachability
from benchmarks.memory.clusters import DIMENSIONS
from benchmarks.memory.rows.base import MemoryRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHORT_MEMORIES = 300


class IndexChoice(MemoryRow):
    """Exact search, a Chroma collection for each person, and one for all with a filter."""

    name = "index"
    title = "Three ways to search by meaning"
    headline = (
        ("p50_ms", "ms"),
        ("p95_ms", "ms"),
        ("recall", "of the 10 nearest"),
        ("unreachable", "not found"),
        ("disk_mib", "MiB"),
        ("rss_mib", "MiB"),
        ("fill_s", "s to fill"),
    )

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        short = self.ground.short
        self.notes.append(
            f"made-up vectors of {DIMENSIONS} numbers in clusters of different size; {index_choice.QUESTIONS} "
            "questions, each to the memories of one person, who asked before; `not found`: of at most "
            f"{index_choice.SAMPLE} memories, looked for by their own vectors after a fifth of all was deleted"
        )
        for size in (SHORT_MEMORIES,) if short else index_choice.SIZES:
            for people in (3, 1) if short else index_choice.PEOPLE:
                for way in index_choice.WAYS:
                    (cost,) = await asyncio.to_thread(index_choice.measure, [size], [people], [way])
                    values = {name: float(value) for name, value in asdict(cost).items() if name != "way"}
                    yield Sample(f"{way}, {size:,} of {people}", 1, values)


class Churn(MemoryRow):
    """Memories that are deleted and written, again and again, and then looked for."""

    name = "churn"
    title = "What is not found after a fifth was deleted and written, four times"
    headline = (("unreachable", "% of the memories"), ("at_first", "% before that"), ("memories", "memories"))

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        count = SHORT_MEMORIES if self.ground.short else reachability.MEMORIES
        rows = await asyncio.to_thread(reachability.measure, count)
        self.notes.append(f"{count:,} made-up vectors in clusters of different size, each looked for by itself")
        for way in dict.fromkeys(row.way for row in rows):
            shares = [100 * row.unreachable / row.memories for row in rows if row.way == way]
            values = {"unreachable": shares[-1], "at_first": shares[0], "memories": float(count)}
            yield Sample(OURS if way == "hoshikage" else way, 1, values)
