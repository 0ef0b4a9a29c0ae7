"""What a decode step of 16 sequences costs outside of llama.cpp: from the worker's own counters, while it serves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.client import open_exchanges
from benchmarks.reading import read_answer
from benchmarks.rows.base import Entry, Measured, MeasureFailed, Row, Surroundings, checked
from benchmarks.rows.streams import Streams
from benchmarks.servers import Hoshikage

if TYPE_CHECKING:
    from benchmarks.answers import Answer
    from benchmarks.client import Exchange

SEQUENCES = 16
TOKENS, SHORT_TOKENS = 96, 48
SETTLED = 4  # events of each stream, after which all of them only decode
LIMIT_S = 120.0


class DecodeStep(Row):
    """16 streams of our own server, and its counters at the beginning and the end of the time when all decode."""

    name = "decode-step"
    title = "A decode step of 16 sequences: time outside of llama_decode"
    headline = (("python_share", ""), ("compute_s_per_step", "s"), ("wall_s_per_step", "s"), ("batch", "tokens"))

    def __init__(self) -> None:
        self._streams = Streams(SEQUENCES)

    def entries(self, around: Surroundings) -> list[Entry]:
        """Ourselves alone."""
        contestant = Hoshikage(around.setup(self.name, n_parallel=SEQUENCES))
        return [Entry(contestant.name, contestant)]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Two looks at the counters; asking more often would disturb what is measured."""
        ours = entry.contestant
        assert isinstance(ours, Hoshikage)
        length = SHORT_TOKENS if around.short else TOKENS
        works = [replace(work, max_tokens=length) for work in self._streams.works(round_number * 10 + 7, around)]
        async with open_exchanges(f"{ours.url}/v1/chat/completions", [ours.body(w) for w in works]) as exchanges:
            async with asyncio.timeout(LIMIT_S):
                for exchange in exchanges:
                    await exchange.reached(SETTLED)
                before = await _counters(ours, exchanges)
                # The one that began first is the first to end.
                await max(exchanges, key=lambda exchange: exchange.events).reached(length - 2)
                after = await _counters(ours, exchanges)
                await asyncio.gather(*(exchange.done for exchange in exchanges))
        answers = checked([read_answer(exchange) for exchange in exchanges])
        return Measured(step_values(before, after, answers), {"before": before, "after": after})


async def _counters(ours: Hoshikage, exchanges: list[Exchange]) -> dict[str, Any]:
    """The counters at a moment when all streams run.

    Raises:
        MeasureFailed: there are none, or a stream has ended.
    """
    counters: dict[str, Any] | None = (await ours.status()).get("counters")
    if not counters:
        raise MeasureFailed("/v1/status reports no counters")
    if any(exchange.done.done() for exchange in exchanges):
        raise MeasureFailed("a stream ended before all of them had only decoded for a while")
    return counters


def step_values(before: dict[str, Any], after: dict[str, Any], answers: list[Answer]) -> dict[str, float]:
    """Time in `llama_decode` per step against the time between two tokens of a stream, both in the same window.

    Raises:
        MeasureFailed: too few steps lie between the two looks.
    """
    steps = after["steps"] - before["steps"]
    if steps <= 0:
        raise MeasureFailed("no step between two looks at the counters")
    compute = (after["compute_s"] - before["compute_s"]) / steps
    begin = max(answer.times[0] for answer in answers)
    end = min(answer.times[-1] for answer in answers)
    spans = [[t for t in answer.times if begin <= t <= end] for answer in answers]
    per_step = [(span[-1] - span[0]) / (len(span) - 1) for span in spans if len(span) > 1]
    if not per_step:
        raise MeasureFailed("the streams did not overlap")
    wall = sum(per_step) / len(per_step)
    return {
        "python_share": 1 - compute / wall,
        "compute_s_per_step": compute,
        "wall_s_per_step": wall,
        "batch": (after["batch_tokens"] - before["batch_tokens"]) / steps,
    }
