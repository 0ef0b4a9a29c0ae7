"""From a body that asks for text to the one internal request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import ChatRequest, Constraint, Message, Thinking, Tool
from hoshikage.core.errors import InvalidRequest, NotSupported
from hoshikage.core.http.body import json_text
from hoshikage.core.http.durations import keep_alive_s
from hoshikage.core.parameters import max_tokens_of, sampling_of, stop_of
from hoshikage.plugins.routes_ollama.context import read_context
from hoshikage.plugins.routes_ollama.conversation import conversation, refuse_images
from hoshikage.plugins.routes_ollama.options import read_options
from hoshikage.plugins.routes_ollama.schemas import closed

if TYPE_CHECKING:
    from typing import Any

    from hoshikage import Effort
    from hoshikage.plugins.routes_ollama.bodies import (
        AnswerBody,
        ChatBody,
        FunctionBody,
        GenerateBody,
        ModelBody,
        ToolBody,
    )

# No template knows more than high.
EFFORTS: dict[str, Effort] = {"low": "low", "medium": "medium", "high": "high", "max": "high"}


def model_of(body: ModelBody) -> str:
    """The model that a body names, by the new spelling or the old."""
    name = body.model or body.name
    if not name:
        raise InvalidRequest("model is required", param="model")
    return name


def chat_request(body: ChatBody, request_id: str) -> ChatRequest:
    """Translate the body of `/api/chat`.

    Raises:
        NotSupported: it asks for something that no engine here can do.
        InvalidRequest: a field has the right type but makes no sense.
    """
    return _request(
        body,
        request_id,
        messages=conversation(body.messages or (), model_of(body)),
        tools=tuple(_tool(t, f"tools[{i}]") for i, t in enumerate(body.tools or ())),
    )


def generate_request(body: GenerateBody, request_id: str) -> ChatRequest:
    """Translate the body of `/api/generate`; see `chat_request` for the errors.

    A raw prompt and the text around a gap go to the model as they stand: no template is applied to them, so there is
    no place for a system message either.
    """
    refuse_images(body.images, model_of(body), "images")
    if body.raw and (body.template or body.system or body.context):
        raise InvalidRequest("raw mode does not support template, system, or context", param="raw")
    if body.template:
        raise NotSupported(
            "template: a model keeps its own template here; to do without it, set raw and send the finished prompt",
            param="template",
        )
    prompt = body.prompt or ""
    if body.raw or body.suffix:
        return _request(body, request_id, prompt=prompt, suffix=body.suffix or None)
    system = (Message("system", body.system),) if body.system else ()
    history = read_context(body.context) if body.context else ()
    return _request(body, request_id, messages=(*system, *history, Message("user", prompt)))


def thinking_of(value: bool | str | None) -> Thinking:
    """How much the model thinks; unset is not the same as false.

    Raises:
        InvalidRequest: an unknown word.
    """
    if value is None or isinstance(value, bool):
        return Thinking(enabled=value)
    if value not in EFFORTS:
        raise InvalidRequest(f"think: {value[:40]!r} is unknown; send true, false, {', '.join(EFFORTS)}", param="think")
    return Thinking(enabled=True, effort=EFFORTS[value])


def constraint_of(value: str | dict[str, Any] | None) -> Constraint | None:
    """The form of the answer: none, any JSON object, or a JSON schema.

    Raises:
        InvalidRequest: an unknown word, or a schema that is nested too deeply.
    """
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        json_text(value, "format")  # first: `closed` goes down as deep as the schema does
        return Constraint("json_schema", json_text(closed(value), "format"), "format")
    if value != "json":
        raise InvalidRequest(f'format: {value[:40]!r} is unknown; send "json" or a JSON schema object', param="format")
    return Constraint("json_object", "", "format")


def _request(body: AnswerBody, request_id: str, **asked: Any) -> ChatRequest:
    """What chat and generate say in the same words, and what they ask for each in its own."""
    options = read_options(body.options)
    return ChatRequest(
        request_id=request_id,
        model=model_of(body),
        sampling=sampling_of(options),
        max_tokens=max_tokens_of(options),
        stop=stop_of(options),
        stream=body.stream is not False,
        keep_alive_s=keep_alive_s(body.keep_alive),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        constraint=constraint_of(body.format),
        thinking=thinking_of(body.think),
        context_length=options.num_ctx,
        **asked,
    )


def _tool(body: ToolBody, field: str) -> Tool:
    if body.type not in (None, "", "function"):
        raise NotSupported(
            f"{field}.type: tools of type {body.type[:40]!r} are not supported, only 'function'", param=f"{field}.type"
        )
    if body.function is None:
        raise InvalidRequest(f"{field}.function: this field is required", param=f"{field}.function")
    return Tool(body.function.name, body.function.description or "", _parameters(body.function, field))


def _parameters(body: FunctionBody, field: str) -> dict[str, Any]:
    """The schema of the arguments, without the nulls that clients in Go write for what they leave out."""
    name = f"{field}.function.parameters"
    schema = {key: value for key, value in (body.parameters or {}).items() if value is not None}
    json_text(schema, name)
    if schema.get("type", "object") != "object":
        raise InvalidRequest(
            f"{name}: the schema must be of type 'object', not {str(schema['type'])[:40]!r}", param=name
        )
    return schema
