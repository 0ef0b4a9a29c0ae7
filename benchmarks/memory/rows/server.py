"""What only a whole server shows: the time to the first token, what is computed again, and what a kill costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.memory.durability import KILLS, durability
from benchmarks.memory.first_token import CONVERSATIONS, FIRST_TOKEN, MEMORIES, ROUNDS, first_token
from benchmarks.memory.rows.base import MemoryRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.figures import Sample

SHORT_MEMORIES, SHORT_ROUNDS, SHORT_CONVERSATIONS = 200, 2, 1
SHORT_KILLS = 2


class Kills(MemoryRow):
    """A server is killed while it writes."""

    name = "kills"
    title = f"Memories lost over {KILLS} `kill -9` during writing"
    headline = (("kills", ""), ("acknowledged", "memories"), ("lost", "memories"))

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        folder = self.ground.folder / self.name
        folder.mkdir()
        found = await durability(folder, kills=SHORT_KILLS if self.ground.short else KILLS)
        self.notes += found.notes
        for sample in found.samples:
            yield sample


class FirstToken(MemoryRow):
    """Requests with memory and without, in turn."""

    name = "first-token"
    title = f"Time to the first token with {MEMORIES:,} memories"
    headline = tuple(FIRST_TOKEN)

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        async for sample in _of_server(self, rounds=SHORT_ROUNDS if self.ground.short else ROUNDS, conversations=0):
            yield sample


class ComputedAgain(MemoryRow):
    """Conversations with memory and without."""

    name = "computed-again"
    title = f"Computed in a conversation with {MEMORIES:,} memories"
    headline = (("prefilled", "tokens"), ("block", "tokens"), ("previous_turns", "tokens"), ("beyond", "tokens"))

    async def samples(self) -> AsyncIterator[Sample]:
        """See `MemoryRow.samples`."""
        conversations = SHORT_CONVERSATIONS if self.ground.short else CONVERSATIONS
        async for sample in _of_server(self, rounds=0, conversations=conversations):
            yield sample


async def _of_server(row: MemoryRow, *, rounds: int, conversations: int) -> AsyncIterator[Sample]:
    """Of the two results that a server gives, the one that was asked for."""
    ground, folder = row.ground, row.ground.folder / row.name
    folder.mkdir()
    memories = SHORT_MEMORIES if ground.short else MEMORIES
    first, again = await first_token(
        ground.model,
        folder,
        memories=memories,
        rounds=rounds,
        conversations=conversations,
        n_threads=ground.n_threads,
    )
    found = first if rounds else again
    row.notes += found.notes
    for sample in found.samples:
        yield sample
