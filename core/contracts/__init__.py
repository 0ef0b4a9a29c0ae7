"""Every noun that crosses a hook, one file per concern; plug-ins import them from `hoshikage`."""

from __future__ import annotations

from hoshikage.core.contracts.chat import (
    Adapter,
    Caller,
    ChatRequest,
    Chunk,
    Directions,
    Done,
    Effort,
    FinishReason,
    Message,
    Sampling,
    Started,
    StreamEvent,
    Thinking,
    TokenLogprob,
    Usage,
)
from hoshikage.core.contracts.checks import Check, CheckResult
from hoshikage.core.contracts.constraints import Constraint, ConstraintKind
from hoshikage.core.contracts.downloads import Downloaded, Downloader, DownloadProgress
from hoshikage.core.contracts.embedders import Embedder, TextKind
from hoshikage.core.contracts.engines import Engine, EngineCounters, LoadedModel, LoadPlan, MemoryNeed
from hoshikage.core.contracts.formats import ChatFormat, FormatParser, Parsed
from hoshikage.core.contracts.memory import (
    Memory,
    MemoryCheck,
    MemoryKind,
    MemoryMode,
    MemoryStats,
    MemoryStore,
    MemoryUse,
    Owner,
    Recall,
    Recalled,
    RecalledItem,
    owner_of,
)
from hoshikage.core.contracts.models import ModelFacts, ModelRecord, ModelSource, WatchingSource
from hoshikage.core.contracts.plans import LoadForecast
from hoshikage.core.contracts.receipts import Outcome, Receipt
from hoshikage.core.contracts.requests import Observer, RequestFilter
from hoshikage.core.contracts.routes import KernelStatus, LoadedView, MemoryStatus, RouteGroup, ServerApi
from hoshikage.core.contracts.served import ServedModels
from hoshikage.core.contracts.storage import StagedCopy, StagedView, Stager, StageSpace
from hoshikage.core.contracts.tools import Tool, ToolCall, ToolCallDelta, ToolChoice
from hoshikage.core.contracts.vectors import Embeddings, EmbedRequest, RerankRequest, Scores

__all__ = [
    "Adapter",
    "Caller",
    "ChatFormat",
    "ChatRequest",
    "Check",
    "CheckResult",
    "Chunk",
    "Constraint",
    "ConstraintKind",
    "Directions",
    "Done",
    "DownloadProgress",
    "Downloaded",
    "Downloader",
    "Effort",
    "EmbedRequest",
    "Embedder",
    "Embeddings",
    "Engine",
    "EngineCounters",
    "FinishReason",
    "FormatParser",
    "KernelStatus",
    "LoadForecast",
    "LoadPlan",
    "LoadedModel",
    "LoadedView",
    "Memory",
    "MemoryCheck",
    "MemoryKind",
    "MemoryMode",
    "MemoryNeed",
    "MemoryStats",
    "MemoryStatus",
    "MemoryStore",
    "MemoryUse",
    "Message",
    "ModelFacts",
    "ModelRecord",
    "ModelSource",
    "Observer",
    "Outcome",
    "Owner",
    "Parsed",
    "Recall",
    "Recalled",
    "RecalledItem",
    "Receipt",
    "RequestFilter",
    "RerankRequest",
    "RouteGroup",
    "Sampling",
    "Scores",
    "ServedModels",
    "ServerApi",
    "StageSpace",
    "StagedCopy",
    "StagedView",
    "Stager",
    "Started",
    "StreamEvent",
    "TextKind",
    "Thinking",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "Usage",
    "WatchingSource",
    "owner_of",
]
