"""What a group of HTTP routes gives to the server, and what it may ask the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hoshikage.core.contracts.engines import EngineCounters, MemoryNeed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from quart import Blueprint

    from hoshikage.config.errors import HoshikageError
    from hoshikage.config.settings import Settings
    from hoshikage.core.contracts.chat import Caller, ChatRequest, StreamEvent
    from hoshikage.core.contracts.downloads import DownloadProgress
    from hoshikage.core.contracts.memory import MemoryStore
    from hoshikage.core.contracts.models import ModelFacts, ModelRecord
    from hoshikage.core.contracts.plans import LoadForecast
    from hoshikage.core.contracts.receipts import Receipt
    from hoshikage.core.contracts.storage import StagedView, StageSpace
    from hoshikage.core.contracts.vectors import Embeddings, EmbedRequest, RerankRequest, Scores
    from hoshikage.core.model_store import ModelStore


@dataclass(frozen=True, slots=True)
class RouteGroup:
    """The routes of one protocol.

    Attributes:
        name: unique among all groups.
        blueprint: the Quart blueprint with the routes.
        prefixes: paths whose errors (404 and 405 too) take this group's shape, e.g. `("/api/",)`.
        error_body: an error as this protocol's JSON object; `None` uses the plain `{"error": text}`.
    """

    name: str
    blueprint: Blueprint
    prefixes: tuple[str, ...] = ()
    error_body: Callable[[HoshikageError], Mapping[str, object]] | None = None


@dataclass(frozen=True, slots=True)
class LoadedView:
    """A model slot as a reader sees it.

    Attributes:
        state: `loading`, `ready` or `closing`.
        since: seconds since the epoch when it became ready (or began loading).
        expires_at: seconds since the epoch when it will be unloaded; `None` is never.
        running: requests that hold it now.
        memory: what it takes, by what it is for; until it is loaded, what it is expected to take.
        staged: its weights are read from a staged copy.
        pinned: it stays when it is idle.
        load_s: seconds that its load took.
        notes: what is to be known of the load, e.g. why it was from disk.
    """

    record: ModelRecord
    state: str
    engine: str
    since: float
    expires_at: float | None
    running: int
    context_length: int
    size_bytes: int
    pid: int | None
    memory: MemoryNeed = field(default_factory=MemoryNeed)
    staged: bool = False
    pinned: bool = False
    load_s: float = 0.0
    notes: tuple[str, ...] = ()
    counters: EngineCounters = field(default_factory=EngineCounters)


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """The memory of the loaded models together.

    Attributes:
        ram_bytes: what they take of main memory.
        vram_bytes: and of GPUs.
        free_ram_bytes: what another one could take now; `None` is without bound.
        free_vram_bytes: the same on GPUs; `None` where there is no card.
    """

    ram_bytes: int = 0
    vram_bytes: int = 0
    free_ram_bytes: int | None = None
    free_vram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class KernelStatus:
    """The whole at a glance.

    Attributes:
        loaded: every slot that is not empty.
        staged: every copy of the stager in use.
        stage_space: its room, or why there is none; `None` where no plug-in offers a stager.
        memory: what loaded models take.
        preloading: models that the settings name are still being loaded.
    """

    started_at: float
    uptime_s: float
    running: int
    waiting: int
    loaded: tuple[LoadedView, ...]
    versions: Mapping[str, str]
    staged: tuple[StagedView, ...] = ()
    stage_space: StageSpace | None = None
    memory: MemoryStatus = field(default_factory=MemoryStatus)
    preloading: bool = False


class ServerApi(Protocol):
    """What routes may ask of the kernel."""

    settings: Settings
    store: ModelStore
    memory: MemoryStore | None

    def chat(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[StreamEvent, None]:
        """Answer a request; see `LoadedModel.generate` for the events.

        Raises:
            ModelNotFound, QueueFull, AdmissionTimeout, ModelLoadFailed, and what the engine raises.
        """
        ...

    async def embed(self, request: EmbedRequest, caller: Caller) -> tuple[Embeddings, Receipt]:
        """Turn texts into vectors; see `LoadedModel.embed`, and `chat` for the errors on the way there."""
        ...

    async def rerank(self, request: RerankRequest, caller: Caller) -> tuple[Scores, Receipt]:
        """Score documents against a query; the errors are those of `embed`."""
        ...

    async def tokenize(self, model: str, text: str, *, special: bool, caller: Caller) -> tuple[int, ...]:
        """The token ids of a text; see `LoadedModel.tokenize`. Loads the model."""
        ...

    async def detokenize(self, model: str, tokens: tuple[int, ...], *, caller: Caller) -> str:
        """The text of token ids; see `LoadedModel.detokenize`. Loads the model."""
        ...

    async def capabilities(self, record: ModelRecord) -> frozenset[str]:
        """What a model can do, in Ollama's words: `completion`, `tools`, `thinking`, `insert`, `embedding`."""
        ...

    def models(self) -> Sequence[ModelRecord]:
        """Every model, newest first."""
        ...

    def model(self, name: str) -> ModelRecord:
        """Find a model: case does not matter, no tag means `:latest`, and `name+memory` is the model `name`.

        Raises:
            ModelNotFound: no model has the name.
        """
        ...

    def pull(self, reference: str, *, insecure: bool = False) -> AsyncGenerator[DownloadProgress, None]:
        """Bring a model from elsewhere and register it; see `Pulls.pull` for steps and errors."""
        ...

    async def facts(self, record: ModelRecord, *, strict: bool = False) -> ModelFacts:
        """What a model's file says of it; read once per file version.

        Raises:
            ModelFileError: the file is gone or damaged, and `strict` asks for that; otherwise the facts are empty.
        """
        ...

    async def load(
        self, name: str, *, keep_alive_s: float | None, caller: Caller, context_length: int | None = None
    ) -> None:
        """Load a model without asking it anything; `context_length` is room for so many tokens at least."""
        ...

    async def unload(self, name: str) -> None:
        """Let a model go once its running requests have ended; nothing happens if it is not loaded."""
        ...

    async def stage(self, name: str) -> None:
        """Copy a model to the faster place, and wait for it.

        Raises:
            StagingRefused: with the reason.
        """
        ...

    async def unstage(self, name: str) -> bool:
        """Give up a model's copy. Returns whether there was one that could go: a loaded model holds its own."""
        ...

    async def pin(self, name: str, *, pinned: bool) -> None:
        """Keep a model where it is, loaded and staged, or no longer."""
        ...

    async def forecast(self, name: str, *, context_length: int, parallel: int) -> LoadForecast:
        """What loading a model would take, and who would leave; nothing is done."""
        ...

    def status(self) -> KernelStatus:
        """What is loaded, what runs and waits, versions and uptime."""
        ...

    def receipts(self) -> Sequence[Receipt]:
        """The last receipts, newest first."""
        ...
