"""The bodies that Ollama clients send: `null` is unset, unknown fields are passed over.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

FunctionName = Annotated[str, Meta(pattern=r"^[\w./:-]{1,128}\Z")]


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


class CopyBody(msgspec.Struct, frozen=True):
    """`POST /api/copy`."""

    source: str
    destination: str


class CreateBody(ModelBody, frozen=True, kw_only=True):
    """`POST /api/create`."""

    base: str | None = msgspec.field(default=None, name="from")
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str | None = None
    system: str | None = None
    parameters: dict[str, Any] | None = None
    messages: list[MessageBody] | None = None
    license: str | list[str] | None = None
    quantize: str | None = None
    quantization: str | None = None  # the old spelling of `quantize`
    modelfile: str | None = None
    stream: bool | None = None


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
    session_id: str | None = None  # not Ollama's: the conversation, for long-term memory


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
