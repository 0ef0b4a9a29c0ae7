"""Vectors of 500 texts, and whether everybody finds the same ones."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
import time
from typing import TYPE_CHECKING, Any

from benchmarks.client import fetch
from benchmarks.contestants import HttpContestant
from benchmarks.prompts import TOPICS, fitted, tag
from benchmarks.rows.base import Entry, Measured, MeasureFailed, Row, Surroundings
from benchmarks.servers import Hoshikage, LlamaServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contestants import Contestant

TEXTS = 500
SHORT_TEXTS = 40
TOKENS = 20
CALLERS = 4
A_REQUEST = 25
LIMIT_S = 120.0

Vector = list[float]


class Embeddings(Row):
    """500 texts of 20 tokens, 25 in a request, from 4 callers at a time."""

    name = "embeddings"
    title = f"Embeddings of {TEXTS} texts of {TOKENS} tokens"
    headline = (("texts_per_s", "texts/s"), ("seconds", "s"), ("likeness", "cosine"))
    most_rounds = 3

    def __init__(self) -> None:
        self._first: dict[int, list[Vector]] = {}

    def entries(self, around: Surroundings) -> list[Entry]:
        """Ourselves and llama-server."""
        setup = around.setup(self.name, n_parallel=16)
        found: list[Contestant] = [Hoshikage(setup)]
        if around.peers.llama_server:
            found.append(LlamaServer(setup, around.peers.llama_server, embedding=True))
        return [Entry(contestant.name, contestant) for contestant in found]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """All texts once."""
        server = entry.contestant
        assert isinstance(server, HttpContestant)
        texts = self._texts(round_number, around)
        waiting = [texts[begin : begin + A_REQUEST] for begin in range(0, len(texts), A_REQUEST)]
        responses: list[tuple[list[str], bytes]] = []

        async def caller() -> None:
            while waiting:
                part = waiting.pop(0)
                responses.append((part, await _embed(server, part)))

        began = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        took_s = time.monotonic() - began
        found = {text: vector for part, body in responses for text, vector in zip(part, _vectors(body), strict=True)}
        vectors = [found[text] for text in texts]
        reference = self._first.setdefault(round_number, vectors)
        return Measured(
            {
                "texts_per_s": len(texts) / took_s,
                "seconds": took_s,
                "likeness": min(cosine(a, b) for a, b in zip(vectors, reference, strict=True)),
            }
        )

    @staticmethod
    def _texts(round_number: int, around: Surroundings) -> list[str]:
        n = SHORT_TEXTS if around.short else TEXTS
        count = around.tokenizer.count
        begin = tag(9000 + round_number)
        return [_text(f"{number} {TOPICS[number % len(TOPICS)]} {begin}", number, count) for number in range(n)]


def _text(begin: str, seed: int, count: Callable[[str], int]) -> str:
    def whole(words: str) -> str:
        return f"{begin} {words}".rstrip()

    return whole(fitted(whole, count, TOKENS, seed=seed))


async def _embed(server: HttpContestant, texts: list[str]) -> bytes:
    body = {"model": server.model, "input": texts, "encoding_format": "base64"}
    status, content = await fetch(f"{server.url}/v1/embeddings", body, limit_s=LIMIT_S)
    if status != 200:
        raise MeasureFailed(f"status {status}: {content[:300].decode('utf-8', 'replace')}")
    return content


def _vectors(body: bytes) -> list[Vector]:
    rows: list[dict[str, Any]] = json.loads(body)["data"]
    packed = [base64.b64decode(row["embedding"]) for row in sorted(rows, key=lambda row: row["index"])]
    return [list(struct.unpack(f"<{len(data) // 4}f", data)) for data in packed]


def cosine(a: Vector, b: Vector) -> float:
    """How alike two vectors are: 1 is the same direction."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / max(math.hypot(*a) * math.hypot(*b), 1e-12)
