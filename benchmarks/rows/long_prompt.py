"""A prompt of 3,000 tokens arrives in the middle of 8 streams: how long do they stand still."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.answers import Work, longest_gap
from benchmarks.client import open_exchanges
from benchmarks.contestants import HttpContestant
from benchmarks.figures import percentile
from benchmarks.prompts import users_of_one_system
from benchmarks.reading import read_answer
from benchmarks.rows.base import Entry, Measured, MeasureFailed, Row, Surroundings, checked
from benchmarks.servers import Hoshikage, LlamaServer

if TYPE_CHECKING:
    from benchmarks.answers import Answer
    from benchmarks.client import Exchange
    from benchmarks.contestants import Contestant

STREAMS = 8
LONG_TOKENS = 3000
SHORT_LONG_TOKENS = 300
STREAM_TOKENS = 400  # more than they can write until the long prompt is done; then they are cut
SETTLED = 8
LIMIT_S = 90.0


class LongPrompt(Row):
    """8 streams that only decode, then the long prompt."""

    name = "long-prompt"
    title = f"A prompt of {LONG_TOKENS} tokens arrives in the middle of {STREAMS} streams"
    headline = (("longest_gap_s", "s"), ("gap_p95_s", "s"), ("long_ttft_s", "s"), ("stream_tokens_per_s", "tokens/s"))

    def entries(self, around: Surroundings) -> list[Entry]:
        """Ourselves and llama-server."""
        setup = around.setup(self.name, n_parallel=STREAMS + 1)
        found: list[Contestant] = [Hoshikage(setup)]
        if around.peers.llama_server:
            found.append(LlamaServer(setup, around.peers.llama_server))
        return [Entry(contestant.name, contestant) for contestant in found]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Begin the streams, wait until all decode, send the long prompt, and stop soon after its first token."""
        server = entry.contestant
        assert isinstance(server, HttpContestant)
        url = f"{server.url}/v1/chat/completions"
        streams, long = self._works(round_number, around)
        async with asyncio.timeout(LIMIT_S):
            async with open_exchanges(url, [server.body(work) for work in streams]) as exchanges:
                await _events(exchanges, SETTLED)
                arrived = time.monotonic()
                async with open_exchanges(url, [server.body(long)]) as (big,):
                    await big.done
                if any(exchange.done.done() for exchange in exchanges):
                    raise MeasureFailed("a stream ended before the long prompt was computed")
                # The gap ends only with the next token of each.
                await _events(exchanges, 2, more=True)
        answers = [read_answer(exchange) for exchange in exchanges]
        (long_answer,) = checked([read_answer(big)])
        return Measured(
            gap_values(checked(answers), long_answer, arrived),
            {"arrived": 0.0, "streams": [[round(t - arrived, 4) for t in a.times] for a in answers]},
        )

    @staticmethod
    def _works(round_number: int, around: Surroundings) -> tuple[list[Work], Work]:
        count = around.tokenizer.count
        n_long = SHORT_LONG_TOKENS if around.short else LONG_TOKENS
        seed = 5000 + round_number * 10
        users = users_of_one_system(STREAMS, count, shared_tokens=26, prompt_tokens=51, seed=seed)
        (long,) = users_of_one_system(1, count, shared_tokens=n_long - 40, prompt_tokens=n_long, seed=seed + 1)
        return [Work(messages, STREAM_TOKENS) for messages in users], Work(long, 4)


async def _events(exchanges: list[Exchange], number: int, *, more: bool = False) -> None:
    """Wait until every stream has so many events, or has ended; with `more`, so many more than now."""
    goals = [number + (exchange.events if more else 0) for exchange in exchanges]
    for exchange, goal in zip(exchanges, goals, strict=True):
        await exchange.reached(goal)


def gap_values(streams: list[Answer], long: Answer, arrived: float) -> dict[str, float]:
    """The longest silence of any stream after the long prompt has arrived, and what it cost the prompt itself."""
    until = long.times[0]
    meanwhile = sum(arrived < t <= until for answer in streams for t in answer.times)
    gaps = [b - a for s in streams for a, b in pairwise(s.times) if arrived < b <= until]
    longest = max(longest_gap(answer.times, arrived) for answer in streams)
    return {
        "longest_gap_s": longest,
        "gap_p95_s": percentile(gaps, 95) if gaps else longest,
        "long_ttft_s": long.first_token_s,
        "stream_tokens_per_s": meanwhile / max(until - arrived, 1e-9),
        "long_prompt_tokens": float(long.prompt_tokens),
    }
