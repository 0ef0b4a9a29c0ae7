"""The bodies that Ollama clients send: `null` is unset, unknown fields are passed over.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# What llama.cpp counts with.
INT32_MAX = 2**31 - 1

Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
LookBack = Annotated[int, Meta(ge=-1, le=INT32_MAX)]
Strength = Annotated[float, Meta(ge=0, le=100)]
StopString = Annotated[str, Meta(max_length=1000)]
FunctionName = Annotated[str, Meta(pattern=r"^[\w./:-]{1,128}\Z")]


class Options(msgspec.Struct, frozen=True):
    """The options that are honoured; any other is taken note of and has no effect.

    The second group is not Ollama's; it stands under the names that llama.cpp's server has for it.
    """

    temperature: Strength | None = None
    top_k: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    top_p: Probability | None = None
    min_p: Probability | None = None
    typical_p: Probability | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=100)] | None = None
    repeat_last_n: LookBack | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    mirostat: Literal[0, 2] | None = None
    mirostat_tau: Strength | None = None
    mirostat_eta: Strength | None = None
    seed: Seed | None = None
    num_predict: Annotated[int, Meta(ge=-2, le=INT32_MAX)] | None = None
    stop: StopString | Annotated[list[StopString], Meta(max_length=64)] | None = None

    dry_multiplier: Strength | None = None
    dry_base: Strength | None = None
    dry_allowed_length: Annotated[int, Meta(ge=0, le=INT32_MAX)] | None = None
    dry_penalty_last_n: LookBack | None = None
    dry_sequence_breakers: Annotated[tuple[StopString, ...], Meta(max_length=64)] | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    ignore_eos: bool | None = None


class CalledFunction(msgspec.Struct, frozen=True):
    """What was called; the arguments are an object here, never its text."""

    name: FunctionName
    arguments: dict[str, Any] | None = None


class CallBody(msgspec.Struct, frozen=True):
    """A call that the assistant made."""

    function: CalledFunction
    id: str | None = None


class MessageBody(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[CallBody] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class FunctionBody(msgspec.Struct, frozen=True):
    """A function on offer."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolBody(msgspec.Struct, frozen=True):
    """A tool on offer."""

    function: FunctionBody | None = None
    type: str | None = None


class ModelBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body that names a model."""

    model: str | None = None
    name: str | None = None  # the old spelling of `model`


class ShowBody(ModelBody, frozen=True, kw_only=True):
    """`POST /api/show`."""

    verbose: bool | None = None


class RunningBody(ModelBody, frozen=True, kw_only=True):
    """A body for which the model must be loaded."""

    options: dict[str, Any] | None = None
    keep_alive: float | str | None = None


class AnswerBody(RunningBody, frozen=True, kw_only=True):
    """What chat and generate have in common."""

    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class ChatBody(AnswerBody, frozen=True, kw_only=True):
    """`POST /api/chat`."""

    messages: list[MessageBody] | None = None
    tools: list[ToolBody] | None = None


class GenerateBody(AnswerBody, frozen=True, kw_only=True):
    """`POST /api/generate`."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class EmbedBody(RunningBody, frozen=True, kw_only=True):
    """`POST /api/embed`."""

    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=0)] | None = None


class EmbeddingsBody(RunningBody, frozen=True, kw_only=True):
    """`POST /api/embeddings`, the older route for one text."""

    prompt: str | None = None
