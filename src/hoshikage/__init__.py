"""Hoshikage (星影): a self-hosted server for local language models.

This façade is the plug-in author's door: the `hookimpl` marker and every noun that crosses a hook.
"""

from __future__ import annotations

import pluggy

from hoshikage.config.errors import ConfigError, HoshikageError
from hoshikage.config.schema import Secret, SettingsSection, Unit
from hoshikage.config.settings import Settings
from hoshikage.core.contracts import (
    Caller,
    ChatRequest,
    Check,
    CheckResult,
    Chunk,
    Done,
    Engine,
    FinishReason,
    LoadedModel,
    Message,
    ModelFacts,
    ModelRecord,
    ModelSource,
    Observer,
    Outcome,
    Receipt,
    RequestFilter,
    RouteGroup,
    Sampling,
    ServerApi,
    Started,
    StreamEvent,
    Usage,
)

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("hoshikage")

__all__ = [
    "Caller",
    "ChatRequest",
    "Check",
    "CheckResult",
    "Chunk",
    "ConfigError",
    "Done",
    "Engine",
    "FinishReason",
    "HoshikageError",
    "LoadedModel",
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
    "Secret",
    "ServerApi",
    "Settings",
    "SettingsSection",
    "Started",
    "StreamEvent",
    "Unit",
    "Usage",
    "hookimpl",
]
