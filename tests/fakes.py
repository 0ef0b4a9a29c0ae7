"""Stand-ins that implement a whole contract and record what happened."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage import (
    Chunk,
    Constraint,
    Directions,
    Done,
    Downloaded,
    DownloadProgress,
    Embeddings,
    EngineCounters,
    LoadPlan,
    MemoryNeed,
    ModelFacts,
    ModelRecord,
    Scores,
    StagedCopy,
    StagedView,
    StageSpace,
    Started,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from hoshikage import (
        Caller,
        ChatRequest,
        EmbedRequest,
        FormatParser,
        Parsed,
        Receipt,
        RerankRequest,
        StreamEvent,
        Tool,
        ToolCallDelta,
    )

AS_SET = LoadPlan()
WAIT_LIMIT_S = 5.0
TURN_S = 0.001


@dataclass
class FakeModel:
    """A loaded model whose every event the test releases or breaks.

    Attributes:
        error: what every request fails with, answers after their words.
        asked: the requests that came.
    """

    name: str
    context_length: int = 100
    size_bytes: int = 1000
    pid: int | None = None
    words: tuple[str, ...] = ("one", " two")
    vector: tuple[float, ...] = (0.6, 0.8)
    tail: str = ""
    memory: MemoryNeed = field(default_factory=MemoryNeed)
    counters: EngineCounters = field(default_factory=EngineCounters)
    asked: list[object] = field(default_factory=list)
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
        self.asked.append(request)
        self.running += 1
        finished = False
        try:
            yield Started(3, self.tail)
            await self.hold.wait()
            for word in self.words:
                for index in range(request.n):
                    yield Chunk(word, index=index)
            if self.error is not None:
                finished = True
                raise self.error
            finished = True
            yield Done("stop", Usage(3, len(self.words)), more=("stop",) * (request.n - 1))
        finally:
            self.running -= 1
            self.cancelled += not finished

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """The vector for each input."""
        await self._asked(request)
        return Embeddings((self.vector,) * len(request.inputs), 2 * len(request.inputs))

    async def rerank(self, request: RerankRequest) -> Scores:
        """Each document is half as relevant as the one before."""
        await self._asked(request)
        return Scores(tuple(0.5**i for i in range(len(request.documents))), 5)

    async def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Code points, after a 0 where special tokens are wanted."""
        await self._asked((text, special))
        return (*((0,) if special else ()), *map(ord, text))

    async def extend_context(self, context_length: int) -> None:
        """Claim more."""
        self.context_length = max(self.context_length, context_length)

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        """The text of code points."""
        await self._asked(tokens)
        return "".join(map(chr, tokens))

    async def _asked(self, request: object) -> None:
        self.asked.append(request)
        self.running += 1
        try:
            await self.hold.wait()
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error

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
    known: ModelFacts = field(default_factory=lambda: ModelFacts(architecture="fake", parameter_count=1_000_000))
    needs: dict[str, MemoryNeed] = field(default_factory=dict)
    plans: list[LoadPlan] = field(default_factory=list)
    closed: bool = False
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    def supports(self, record: ModelRecord) -> bool:
        """Everything."""
        return True

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """What the test says."""
        return self.known

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        """What the test says of the model."""
        return self.needs.get(record.name, MemoryNeed())

    async def load(self, record: ModelRecord, plan: LoadPlan = AS_SET) -> FakeModel:
        """Wait for `hold`, then fail or load."""
        self.loads.append(record.name)
        self.plans.append(plan)
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.models.append(FakeModel(record.name, memory=self.needs.get(record.name, MemoryNeed())))
        return self.models[-1]

    async def close(self) -> None:
        """Note it."""
        self.closed = True


@dataclass
class FakeStager:
    """A stager whose copies are only noted.

    Attributes:
        refusal: what every copying fails with.
        done: everything that was asked of it, in order.
    """

    folder: Path
    name: str = "fake_stager"
    available: bool = True
    waits: bool = True
    refusal: Exception | None = None
    copies: dict[Path, StagedCopy] = field(default_factory=dict)
    pinned: set[Path] = field(default_factory=set)
    held: Counter[Path] = field(default_factory=Counter)
    done: list[tuple[str, str]] = field(default_factory=list)
    hold_up: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hold_up.set()

    async def start(self) -> None:
        """Note it."""
        self.done.append(("start", ""))

    async def stop(self) -> None:
        """Note it."""
        self.done.append(("stop", ""))

    def space(self) -> StageSpace:
        """No bounds."""
        used = sum(c.size_bytes for c in self.copies.values())
        return StageSpace(self.folder, self.available, "" if self.available else "told so", 10**12, used, 10**12 - used)

    def views(self) -> tuple[StagedView, ...]:
        """Every copy is ready."""
        return tuple(
            StagedView(f, c.size_bytes, c.size_bytes, "ready", f in self.pinned, self.held[f] > 0, 0.0)
            for f, c in self.copies.items()
        )

    def find(self, record: ModelRecord) -> StagedCopy | None:
        """The copy that was noted."""
        return self.copies.get(record.file) if record.file else None

    async def stage(self, record: ModelRecord) -> StagedCopy:
        """Wait for `hold_up`, then fail or note a copy."""
        self.done.append(("stage", record.name))
        await self.hold_up.wait()
        if self.refusal is not None:
            raise self.refusal
        assert record.file is not None
        copy = StagedCopy(self.folder / record.file.name, record.size_bytes, self.folder / "state")
        self.copies[record.file] = copy
        return copy

    async def unstage(self, record: ModelRecord) -> bool:
        """Forget a copy that nobody holds."""
        self.done.append(("unstage", record.name))
        if record.file is None or self.held[record.file]:
            return False
        return self.copies.pop(record.file, None) is not None

    def hold(self, record: ModelRecord) -> None:
        """Count it."""
        assert record.file is not None
        self.held[record.file] += 1

    def release(self, record: ModelRecord) -> None:
        """Count it."""
        assert record.file is not None
        self.held[record.file] -= 1

    def touch(self, record: ModelRecord) -> None:
        """Note it."""
        self.done.append(("touch", record.name))

    def pin(self, record: ModelRecord, *, pinned: bool) -> None:
        """Note it."""
        assert record.file is not None
        (self.pinned.add if pinned else self.pinned.discard)(record.file)


@dataclass
class FakeDownloader:
    """Brings files that are there already."""

    files: dict[str, Path]
    name: str = "fake_downloader"

    def accepts(self, reference: str) -> bool:
        """What it has."""
        return reference in self.files

    async def download(
        self, reference: str, progress: Callable[[DownloadProgress], None], *, insecure: bool = False
    ) -> Downloaded:
        """Half, then all of it."""
        file, digest = self.files[reference], "sha256:" + "0" * 64
        size = file.stat().st_size
        progress(DownloadProgress("pulling manifest"))
        for done in (size // 2, size):
            progress(DownloadProgress("pulling 000000000000", digest, size, done))
        return Downloaded(reference, file, "0" * 64, source=f"fake://{reference}")


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


@dataclass(frozen=True)
class FakeParsed:
    """A piece of an answer, taken apart."""

    content: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()


class FakeParser:
    """Gives for each piece of text what the test has laid down for it; other text is content."""

    def __init__(self, pieces: dict[str, FakeParsed | Exception]) -> None:
        self._pieces = pieces

    def push(self, text: str) -> Parsed:
        """What is laid down."""
        return self._of(text, FakeParsed(text))

    def finish(self) -> Parsed:
        """What is laid down for the end, as the empty text."""
        return self._of("", FakeParsed())

    def _of(self, text: str, otherwise: FakeParsed) -> Parsed:
        parsed = self._pieces.get(text, otherwise)
        if isinstance(parsed, Exception):
            raise parsed
        return parsed


@dataclass
class FakeFormat:
    """A format that knows what the test tells it, or fails.

    Attributes:
        template: the one that it recognises.
        error: what its methods raise.
        failing: the names of those that do.
        parsers: the requests and prompt tails that parsers were made for.
    """

    name: str = "fake_format"
    order: int = 100
    template: str = ""
    given: Directions = field(default_factory=Directions)
    able: frozenset[str] = frozenset()
    pieces: dict[str, FakeParsed | Exception] = field(default_factory=dict)
    error: Exception = field(default_factory=ZeroDivisionError)
    failing: frozenset[str] = frozenset()
    parsers: list[tuple[ChatRequest, str]] = field(default_factory=list)

    def recognises(self, template: str) -> bool:
        """Its own template, or the empty one."""
        self._fail_in("recognises")
        return template == self.template

    def directions(self, template: str, request: ChatRequest) -> Directions:
        """What the test gave."""
        self._fail_in("directions")
        return self.given

    def tool_constraint(self, tools: Sequence[Tool], *, parallel: bool) -> Constraint:
        """The names of the tools, and whether there may be more calls."""
        self._fail_in("tool_constraint")
        return Constraint("lark", f"{','.join(tool.name for tool in tools)} {parallel}", "tools")

    def parser(self, request: ChatRequest, prompt_tail: str) -> FormatParser:
        """A parser of the pieces laid down."""
        self._fail_in("parser")
        self.parsers.append((request, prompt_tail))
        return FakeParser(self.pieces)

    def capabilities(self, template: str) -> frozenset[str]:
        """What the test says."""
        self._fail_in("capabilities")
        return self.able

    def _fail_in(self, method: str) -> None:
        if method in self.failing:
            raise self.error


async def until(condition: Callable[[], object], limit_s: float = WAIT_LIMIT_S) -> None:
    """Give the loop turns until a condition holds.

    Raises:
        AssertionError: it does not hold within the limit.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        await asyncio.sleep(TURN_S)
