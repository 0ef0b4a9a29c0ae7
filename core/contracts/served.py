"""The server's own models, for plug-ins that compute with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage.core.contracts.chat import Caller, ChatRequest, StreamEvent
    from hoshikage.core.contracts.models import ModelFacts, ModelRecord
    from hoshikage.core.contracts.plans import LoadForecast
    from hoshikage.core.contracts.receipts import Receipt
    from hoshikage.core.contracts.routes import KernelStatus
    from hoshikage.core.contracts.vectors import Embeddings, EmbedRequest


class ServedModels(Protocol):
    """A part of `ServerApi`, see there for each method.

    A plug-in gets it before the server has started, and may use it from then on. Its requests wait, are counted and
    have receipts like everybody's; one that must be in nobody's way asks `forecast` who would have to leave.
    """

    def model(self, name: str) -> ModelRecord:
        """Find a model."""
        ...

    async def facts(self, record: ModelRecord, *, strict: bool = False) -> ModelFacts:
        """What a model's file says of it."""
        ...

    async def forecast(self, name: str, *, context_length: int, parallel: int) -> LoadForecast:
        """What loading a model would take."""
        ...

    def chat(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[StreamEvent, None]:
        """Answer a request."""
        ...

    def status(self) -> KernelStatus:
        """What runs and waits, among other things."""
        ...

    async def embed(self, request: EmbedRequest, caller: Caller) -> tuple[Embeddings, Receipt]:
        """Turn texts into vectors."""
        ...
