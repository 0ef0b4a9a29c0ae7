"""The bodies that Ollama clients send: `null` is unset, unknown fields are passed over.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

# What llama.cpp counts with.
INT32_MAX = 2**31 - 1

Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
StopString = Annotated[str, Meta(max_length=1000)]


class Options(msgspec.Struct, frozen=True):
    """The options that are honoured; `OTHERS` are taken note of and have no effect."""

    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    top_p: Probability | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=100)] | None = None
    repeat_last_n: Annotated[int, Meta(ge=-1, le=INT32_MAX)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Seed | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=INT32_MAX)] | None = None
    stop: StopString | Annotated[list[StopString], Meta(max_length=64)] | None = None


class MessageBody(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str | None = None
    images: list[str] | None = None
    tool_calls: list[Any] | None = None
    tool_name: str | None = None


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    model: str | None = None
    name: str | None = None  # the old spelling of `model`
    stream: bool | None = None
    options: dict[str, Any] | None = None
    keep_alive: float | str | None = None
    format: Any = None
    think: bool | str | None = None
    logprobs: bool | None = None


class ChatBody(_Common, frozen=True, kw_only=True):
    """`POST /api/chat`."""

    messages: list[MessageBody] | None = None
    tools: list[Any] | None = None


class GenerateBody(_Common, frozen=True, kw_only=True):
    """`POST /api/generate`."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class ShowBody(msgspec.Struct, frozen=True):
    """`POST /api/show`."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None
