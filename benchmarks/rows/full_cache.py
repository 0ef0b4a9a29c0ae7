"""What it costs that a cache is full of text that nobody asks for again."""

from __future__ import annotations

from benchmarks.answers import Work
from benchmarks.prompts import users_of_one_system
from benchmarks.rows.base import Entry, Measured, Row, Surroundings, checked
from benchmarks.rows.streams import Streams
from benchmarks.servers import Hoshikage
from benchmarks.targets import EMPTY, FULL

STREAMS = 16
KEPT_PROMPT, SHORT_KEPT_PROMPT = 440, 60  # tokens; 16 of them leave room for the streams in 8192 cells


class FullCache(Row):
    """16 streams of our own server, in an empty KV cache and beside the kept prompts of 16 users who have left.

    Every kept token is a cell of the same cache, which attention has to pass over in every step.
    """

    name = "full-cache"
    title = f"{STREAMS} streams in an empty cache, and in one that is full of earlier prompts"
    headline = (("tokens_per_s", "tokens/s"), ("seconds", "s"), ("cells_kept", "cells"))
    most_rounds = 3
    cold = True

    def __init__(self) -> None:
        self._streams = Streams(STREAMS)

    def entries(self, around: Surroundings) -> list[Entry]:
        """Ourselves, twice."""
        ours = Hoshikage(around.setup(self.name, n_parallel=STREAMS))
        return [Entry(EMPTY, ours), Entry(FULL, ours)]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """The streams, after the cache was filled or not."""
        ours = entry.contestant
        assert isinstance(ours, Hoshikage)
        if entry.label == FULL:
            checked(await ours.answer(_earlier(round_number, around)))
        kept = (await ours.status()).get("counters", {}).get("cells_kept", 0)
        measured = await self._streams.measure(entry, round_number, around)
        return Measured({**measured.values, "cells_kept": float(kept)}, measured.detail)


def _earlier(round_number: int, around: Surroundings) -> list[Work]:
    """Prompts that have nothing in common with those of the streams."""
    length = SHORT_KEPT_PROMPT if around.short else KEPT_PROMPT
    users = users_of_one_system(
        STREAMS, around.tokenizer.count, shared_tokens=12, prompt_tokens=length, seed=7000 + round_number
    )
    return [Work(messages, 1) for messages in users]
