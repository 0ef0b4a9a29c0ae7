"""A model as the registry knows it, and what its file says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hoshikage.core.contracts.chat import Message


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One name and the model behind it.

    Attributes:
        name: the registered name, as it was written.
        file: the GGUF file, absolute; `None` for a model without a file.
        engine: the engine that must load it; empty lets the first one that supports it.
        stop: stop strings that always apply.
        options: per-model engine settings, e.g. `{"n_ctx": 2048}`.
        size_bytes: size of the file.
        modified_at: seconds since the epoch.
        digest: SHA-256 of the content, 64 hex digits; empty while it is not known.
        template: a chat template that stands in for the file's own; empty: the file's own.
        system: the system prompt of conversations that have none.
        parameters: sampling defaults of this model, by Ollama's names, e.g. `{"temperature": 0.2, "num_ctx": 4096}`.
        messages: an opening that stands before every conversation.
    """

    name: str
    file: Path | None = None
    engine: str = ""
    stop: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    size_bytes: int = 0
    modified_at: float = 0.0
    digest: str = ""
    template: str = ""
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()

    def identity(self) -> tuple[object, ...]:
        """What must be equal for a loaded copy to still be this model."""
        return (
            self.file,
            self.engine,
            self.size_bytes,
            self.modified_at,
            repr(sorted(self.options.items())),  # a text, because a value may be a list, which has no hash
            self.template,
        )


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model's own header says; empty and 0 mean that it does not say.

    Attributes:
        architecture: e.g. `llama`.
        parameter_count: weights, counted from the tensors' shapes.
        quantization: e.g. `Q4_K_M`.
        context_length: tokens the model was trained for.
        embedding_length: width of its embeddings.
        chat_template: the Jinja2 source, where the file has one.
        metadata: the scalar values of the header, by key.
    """

    architecture: str = ""
    name: str = ""
    parameter_count: int = 0
    quantization: str = ""
    context_length: int = 0
    embedding_length: int = 0
    chat_template: str = ""
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def parameter_size(self) -> str:
        """The parameter count as people write it: `135M`, `7.6B`."""
        count = self.parameter_count
        for limit, suffix in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
            if count >= limit:
                value = count / limit
                digits = 1 if suffix == "B" else 0
                return f"{value:.{digits}f}".removesuffix(".0") + suffix
        return str(count) if count else ""


class ModelSource(Protocol):
    """Offers models beside those that the registry holds."""

    name: str

    def models(self) -> Sequence[ModelRecord]:
        """The models on offer now; called at every look-up, so it must be cheap."""
        ...


@runtime_checkable
class WatchingSource(Protocol):
    """What a model source may have besides: work of its own while a server runs."""

    async def start(self) -> None:
        """Called once before the first request. If it raises, the log says so and `models` is asked as ever."""
        ...

    async def stop(self) -> None:
        """Called at the end, also where `start` failed."""
        ...
