"""An engine and the one model that it offers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hoshikage import Chunk, Done, EngineCounters, MemoryNeed, ModelFacts, ModelRecord, Started, Usage
from hoshikage.core.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from hoshikage import ChatRequest, Embeddings, EmbedRequest, LoadPlan, RerankRequest, Scores, StreamEvent
    from hoshikage_parrot.settings import ParrotSettings


class ParrotModels:
    """Offers the model `parrot`."""

    name = "parrot"

    def models(self) -> Sequence[ModelRecord]:
        return [ModelRecord("parrot", engine="parrot", digest="0" * 64)]


class ParrotEngine:
    """Loads nothing."""

    name = "parrot"

    def __init__(self, settings: ParrotSettings) -> None:
        self._settings = settings

    def supports(self, record: ModelRecord) -> bool:
        return record.engine == self.name

    async def facts(self, record: ModelRecord) -> ModelFacts:
        return ModelFacts(architecture="parrot", name=record.name)

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        return MemoryNeed()

    async def load(self, record: ModelRecord, plan: LoadPlan) -> Parrot:
        return Parrot(self._settings.ending)

    async def close(self) -> None:
        pass  # it holds nothing besides


class Parrot:
    """The loaded model."""

    context_length = 1000
    size_bytes = 0
    memory = MemoryNeed()
    pid = None

    def __init__(self, ending: str) -> None:
        self._ending = ending
        self._closed = asyncio.Event()

    @property
    def counters(self) -> EngineCounters:
        return EngineCounters()  # it does not count

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        words = (request.messages[-1].content.upper() + self._ending).split()
        yield Started(len(words))
        for number, word in enumerate(words):
            yield Chunk(word if number == 0 else f" {word}")
            await asyncio.sleep(0)
        yield Done("stop", Usage(len(words), len(words)))

    async def embed(self, request: EmbedRequest) -> Embeddings:
        raise NotSupported("the parrot has no embeddings", param="model")

    async def rerank(self, request: RerankRequest) -> Scores:
        raise NotSupported("the parrot cannot judge", param="model")

    async def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        return tuple(map(ord, text))

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        return "".join(map(chr, tokens))

    async def extend_context(self, context_length: int) -> None:
        pass  # it forgets everything anyway

    async def wait_closed(self) -> str:
        await self._closed.wait()
        return "the parrot flew away"

    async def close(self) -> None:
        self._closed.set()
