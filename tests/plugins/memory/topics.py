"""An embedder that knows a few topics, and does what a test asks of it."""

from __future__ import annotations

import asyncio

import numpy as np

from hoshikage.core.errors import EmbedderFailed


class Topics:
    """An embedder that knows of pets and of work, and of nothing else. Implements `Embedder`.

    Attributes:
        error: what every call fails with.
        missing: what `start` fails with.
        refused: a text that it fails at, whatever else is asked with it.
        texts: every text that was embedded, in order.
        calls: the texts of each call for memories.
        go_on: nothing is answered before.
    """

    name = "topics"
    related_from = 0.9
    pets = ("cat", "dog", "pet", "animal")
    work = ("office", "job", "osaka")

    def __init__(self, version: int = 1, *, dimensions: int = 3) -> None:
        self.identity = f"topics {version}"
        self.dimensions = dimensions
        self.made_dimensions = dimensions
        self.hand = True
        self.missing = ""
        self.refused: str | None = None
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.texts: list[str] = []
        self.calls: list[list[str]] = []

    def at_hand(self) -> bool:
        return self.hand

    async def start(self) -> None:
        if self.missing:
            raise EmbedderFailed(self.missing)

    async def embed(self, texts, kind):
        if kind == "document":
            self.calls.append(list(texts))
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        if self.refused in texts:
            raise EmbedderFailed("this text is too much for it")
        self.texts += texts
        found = np.zeros((len(texts), self.made_dimensions), dtype=np.float32)
        for row, text in zip(found, texts, strict=True):
            row[self.topic(text.lower())] = 1
        return found

    def topic(self, text: str) -> int:
        if any(word in text for word in self.pets):
            return 0
        return 1 if any(word in text for word in self.work) else 2

    async def close(self) -> None:
        """Nothing is held."""
