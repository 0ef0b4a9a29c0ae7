"""Stand-ins that implement a whole contract and record what happened."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage import Chunk, Done, ModelFacts, ModelRecord, Started, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from hoshikage import Caller, ChatRequest, Receipt, StreamEvent

WAIT_LIMIT_S = 5.0
TURN_S = 0.001


@dataclass
class FakeModel:
    """A loaded model whose every event the test releases or breaks."""

    name: str
    context_length: int = 100
    size_bytes: int = 1000
    pid: int | None = None
    words: tuple[str, ...] = ("one", " two")
    error: Exception | None = None
    closed: int = 0
    cancelled: int = 0
    running: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    async def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Start, wait for `hold`, say the words, then fail or be done."""
        self.running += 1
        finished = False
        try:
            yield Started(3)
            await self.hold.wait()
            for word in self.words:
                yield Chunk(word)
            if self.error is not None:
                finished = True
                raise self.error
            finished = True
            yield Done("stop", Usage(3, len(self.words)))
        finally:
            self.running -= 1
            self.cancelled += not finished

    async def wait_closed(self) -> str:
        """Ends when the test sets `end`, or at the close."""
        await self.end.wait()
        return "the test ended it"

    async def close(self) -> None:
        """Count, and end."""
        self.closed += 1
        self.end.set()


@dataclass
class FakeEngine:
    """An engine whose loads the test can hold up or let fail."""

    name: str = "fake"
    loads: list[str] = field(default_factory=list)
    models: list[FakeModel] = field(default_factory=list)
    error: Exception | None = None
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    def supports(self, record: ModelRecord) -> bool:
        """Everything."""
        return True

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """Something."""
        return ModelFacts(architecture="fake", parameter_count=1_000_000)

    async def load(self, record: ModelRecord) -> FakeModel:
        """Wait for `hold`, then fail or load."""
        self.loads.append(record.name)
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.models.append(FakeModel(record.name))
        return self.models[-1]


@dataclass
class FakeSource:
    """Models without files."""

    names: list[str]
    name: str = "fake_source"

    def models(self) -> list[ModelRecord]:
        """One record per name."""
        return [ModelRecord(n, engine="fake") for n in self.names]


@dataclass
class FakeObserver:
    """Remembers what it was told."""

    name: str = "fake_observer"
    seen: list[tuple[str, Receipt]] = field(default_factory=list)

    async def observe(self, request: ChatRequest, answer: str, receipt: Receipt) -> None:
        """Remember."""
        self.seen.append((answer, receipt))


@dataclass
class FakeFilter:
    """Applies a function to requests."""

    change: Callable[[ChatRequest], ChatRequest]
    name: str = "fake_filter"
    order: int = 50

    async def apply(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        """Change the request, or raise."""
        return self.change(request)


async def until(condition: Callable[[], object], limit_s: float = WAIT_LIMIT_S) -> None:
    """Give the loop turns until a condition holds.

    Raises:
        AssertionError: it does not hold within the limit.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        await asyncio.sleep(TURN_S)
