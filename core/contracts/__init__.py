"""Every noun that crosses a hook, one file per concern; plug-ins import them from `hoshikage`."""

from __future__ import annotations

from hoshikage.core.contracts.chat import (
    Caller,
    ChatRequest,
    Chunk,
    Done,
    FinishReason,
    Message,
    Sampling,
    Started,
    StreamEvent,
    Usage,
)
from hoshikage.core.contracts.checks import Check, CheckResult
from hoshikage.core.contracts.engines import Engine, LoadedModel
from hoshikage.core.contracts.models import ModelFacts, ModelRecord, ModelSource
from hoshikage.core.contracts.receipts import Outcome, Receipt
from hoshikage.core.contracts.requests import Observer, RequestFilter
from hoshikage.core.contracts.routes import KernelStatus, LoadedView, RouteGroup, ServerApi

__all__ = [
    "Caller",
    "ChatRequest",
    "Check",
    "CheckResult",
    "Chunk",
    "Done",
    "Engine",
    "FinishReason",
    "KernelStatus",
    "LoadedModel",
    "LoadedView",
    "Message",
    "ModelFacts",
    "ModelRecord",
    "ModelSource",
    "Observer",
    "Outcome",
    "Receipt",
    "RequestFilter",
    "RouteGroup",
    "Sampling",
    "ServerApi",
    "Started",
    "StreamEvent",
    "Usage",
]
