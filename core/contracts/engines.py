"""What an engine is: it loads a model, and a loaded model answers many callers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hoshikage.core.contracts.chat import ChatRequest, StreamEvent
    from hoshikage.core.contracts.models import ModelFacts, ModelRecord
    from hoshikage.core.contracts.vectors import Embeddings, EmbedRequest, RerankRequest, Scores


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """What a loaded model has done since it was loaded, and what it holds now.

    Attributes:
        steps: times that the model computed.
        compute_s: seconds spent in computing, of all steps together.
        batch_tokens: tokens computed, of all kinds; by `steps` it is the mean size of a batch.
        prefill_tokens: those of them that were prompts.
        decode_tokens: tokens chosen.
        cached_tokens: prompt tokens that needed no computing.
        drafted_tokens: tokens guessed ahead.
        accepted_tokens: guesses that turned out right.
        preemptions: answers that gave up their place in the cache and were computed again.
        running: answers in the making.
        waiting: answers that wait for room.
        cells_total: tokens that the cache can hold.
        cells_used: those that running answers hold.
        cells_kept: those kept for prompts that begin alike; given up as soon as a running answer needs them.
        restored_tokens: tokens whose computed state came back from a file.
        saved_bytes: bytes of computed state written to files.
    """

    steps: int = 0
    compute_s: float = 0.0
    batch_tokens: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0
    running: int = 0
    waiting: int = 0
    cells_total: int = 0
    cells_used: int = 0
    cells_kept: int = 0
    restored_tokens: int = 0
    saved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a loaded model takes.

    Attributes:
        weights_bytes: the weights in main memory, mapped from the file.
        context_bytes: the KV cache, in main memory.
        other_bytes: compute buffers and the process itself, in main memory.
        vram_bytes: everything on the GPUs.
        measured: it was measured at an earlier load, not only predicted from the header.
    """

    weights_bytes: int = 0
    context_bytes: int = 0
    other_bytes: int = 0
    vram_bytes: int = 0
    measured: bool = False

    @property
    def ram_bytes(self) -> int:
        """Everything in main memory."""
        return self.weights_bytes + self.context_bytes + self.other_bytes

    @property
    def total_bytes(self) -> int:
        """Everything, wherever it lies."""
        return self.ram_bytes + self.vram_bytes


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How a model is to be loaded.

    Attributes:
        file: where to read it from, where that is not the record's own file.
        context_length: tokens that the context must hold at least; 0 leaves it to the settings.
        state_folders: where conversations may be saved, and looked for, the fastest first.
    """

    file: Path | None = None
    context_length: int = 0
    state_folders: tuple[Path, ...] = ()


class LoadedModel(Protocol):
    """A model that is ready to answer."""

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer that fit, shared by all callers."""
        ...

    @property
    def size_bytes(self) -> int:
        """Memory it takes, as far as known."""
        ...

    @property
    def memory(self) -> MemoryNeed:
        """The same by what it is for."""
        ...

    @property
    def pid(self) -> int | None:
        """Its worker process; `None` where it has none."""
        ...

    @property
    def counters(self) -> EngineCounters:
        """What it has done and holds; all zero where it does not count."""
        ...

    def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer one request: `Started`, any number of `Chunk`s, then `Done`.

        Text comes as the model writes it, with the markers of `request.directions`: taking tool calls and thinking
        apart is the kernel's. Closing the iterator early cancels the generation within one decode step.

        Raises:
            ContextOverflow: the prompt does not fit.
            InvalidRequest: the prompt cannot be built, e.g. the template refuses it, or a constraint is invalid.
            NotSupported: the model cannot do what is asked.
            DeadlineExceeded: the answer was not complete in time.
            WorkerDied: the process behind it ended.
        """
        ...

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Turn texts into vectors.

        Raises:
            ContextOverflow: an input is too long and must not be cut.
            NotSupported: the model has no embeddings.
            WorkerDied: the process behind it ended.
        """
        ...

    async def rerank(self, request: RerankRequest) -> Scores:
        """Score documents against a query; the errors are those of `embed`."""
        ...

    async def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """The token ids of a text; with `special`, as a prompt, with the tokens that a prompt begins with."""
        ...

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        """The text of token ids.

        Raises:
            InvalidRequest: an id is not in the vocabulary.
        """
        ...

    async def extend_context(self, context_length: int) -> None:
        """Make room for at least so many tokens; running answers go on.

        Raises:
            ContextOverflow: the model was not trained for so many, or the memory does not suffice.
        """
        ...

    async def wait_closed(self) -> str:
        """Return, with the reason, once the model can answer no more: closed, or its process died."""
        ...

    async def close(self) -> None:
        """Give back everything it holds. Idempotent; requests still running end with an error."""
        ...


class Engine(Protocol):
    """Loads models of the kinds that it supports."""

    name: str

    def supports(self, record: ModelRecord) -> bool:
        """Whether it can load this model, judged without opening the file."""
        ...

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """What the model says of itself.

        Raises:
            ModelFileError: the file is gone or damaged.
        """
        ...

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        """What a model would take with a context of so many tokens; 0 is that of the settings.

        Raises:
            ModelFileError: the file is gone or damaged.
        """
        ...

    async def load(self, record: ModelRecord, plan: LoadPlan) -> LoadedModel:
        """Load a model.

        Raises:
            ModelLoadFailed: with the reason in words.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds besides its models; called once, after all of these are closed."""
        ...
