"""Streams of 64 tokens that begin together, with prompts that begin alike: the plain work of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.answers import Answer, Work, seconds, stream_values, summary
from benchmarks.contestants import Bare
from benchmarks.prompts import users_of_one_system
from benchmarks.rows.base import Entry, Measured, Row, Surroundings, checked
from benchmarks.servers import ExampleServer, Hoshikage, LlamaServer, PackagedServer
from benchmarks.targets import spelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant, Setup

TOKENS = 64
SHORT_TOKENS = 8
WITH_ALL_PEERS = 16
SLOW_ROUNDS = 3  # where a round takes llama-server half a minute
LONGEST_OF_LLAMA_SERVER = 16 * 537  # prompt tokens; one such round takes it a minute
REPEATS = {1: 4, 4: 2}  # a short work is done several times, so that one hiccup of the machine says less


class Streams(Row):
    """N streams side by side.

    Every sample has prompts that begin with words of their own, so nothing that a server keeps of earlier ones
    can help, and begins with an empty cache, so nothing can be in the way; see `FullCache`. Everybody gets the same
    prompts.
    """

    cold = True

    headline = (
        ("tokens_per_s", "tokens/s"),
        ("seconds", "s"),
        ("ttft_p50_s", "s"),
        ("ttft_p95_s", "s"),
        ("longest_gap_s", "s"),
    )

    def __init__(self, n: int, *, name: str = "", title: str = "", shared: int = 26, prompt: int = 51) -> None:
        self.n = n
        self.name = name or f"streams-{n}"
        self.shared = shared
        self.prompt = prompt
        self.title = (
            f"{title or f'{spelled(n)} side by side'}: {prompt} prompt tokens ({shared} shared), {TOKENS} answer tokens"
        )
        self._plain = not name
        if name.startswith("shared-512"):
            self.most_rounds = SLOW_ROUNDS

    def entries(self, around: Surroundings) -> list[Entry]:
        """The bare loop, ourselves, llama-server; at 16 plain streams all peers."""
        setup = around.setup(self.name, n_parallel=self.n, n_ctx=self._context())
        return [Entry(contestant.name, contestant) for contestant in self._contestants(setup, around)]

    def _context(self) -> int:
        needed = self.n * (self.prompt + TOKENS)
        return 8192 if needed <= 8192 else -(-needed // 1024) * 1024

    def _contestants(self, setup: Setup, around: Surroundings) -> list[Contestant]:
        peers = around.peers
        found: list[Contestant] = [Bare(setup), Hoshikage(setup)]
        if peers.llama_server and self.n * self.prompt <= LONGEST_OF_LLAMA_SERVER:
            found.append(LlamaServer(setup, peers.llama_server))
        if self._plain and self.n == WITH_ALL_PEERS:
            if peers.packaged_python:
                found.append(PackagedServer(setup, peers.packaged_python))
            if peers.packaged_python and peers.example_server:
                found.append(ExampleServer(setup, peers.packaged_python, peers.example_server))
        return found

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """All streams at once, several times in a row where they are few."""
        repeats = 1 if around.short else REPEATS.get(self.n, 1)
        parts: list[list[Answer]] = []
        for repeat in range(repeats):
            works = self.works(round_number * 10 + repeat, around)
            parts.append(checked(await entry.contestant.answer(works)))
        detail = {"streams": [[summary(answer) for answer in answers] for answers in parts]}
        return Measured(combined(parts), detail)

    def works(self, seed: int, around: Surroundings) -> list[Work]:
        """The requests of one round."""
        users = users_of_one_system(
            self.n, around.tokenizer.count, shared_tokens=self.shared, prompt_tokens=self.prompt, seed=seed
        )
        return [Work(messages, SHORT_TOKENS if around.short else TOKENS) for messages in users]


def combined(parts: Sequence[list[Answer]]) -> dict[str, float]:
    """The values of several goes: tokens by the sum of their times, first tokens of all of them together."""
    values = stream_values([answer for answers in parts for answer in answers])
    values["seconds"] = sum(seconds(answers) for answers in parts)
    values["tokens_per_s"] = values["tokens"] / max(values["seconds"], 1e-9)
    return values
