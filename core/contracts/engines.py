"""What an engine is: it loads a model, and a loaded model answers many callers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage.core.contracts.chat import ChatRequest, StreamEvent
    from hoshikage.core.contracts.models import ModelFacts, ModelRecord


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
    def pid(self) -> int | None:
        """Its worker process; `None` where it has none."""
        ...

    def generate(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer one request: `Started`, any number of `Chunk`s, then `Done`.

        Closing the iterator early cancels the generation within one decode step.

        Raises:
            ContextOverflow: the prompt does not fit.
            InvalidRequest: the prompt cannot be built, e.g. the template refuses it.
            WorkerDied: the process behind it ended.
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

    async def load(self, record: ModelRecord) -> LoadedModel:
        """Load a model.

        Raises:
            ModelLoadFailed: with the reason in words.
        """
        ...
