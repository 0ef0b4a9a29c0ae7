"""From events, models and errors to Ollama's JSON and newline-delimited JSON."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal

import orjson

from hoshikage import Chunk, Done, Started
from hoshikage.core.http.times import rfc3339
from hoshikage.plugins.routes_ollama.context import write_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage import ChatRequest, HoshikageError, ModelFacts, ModelRecord, StreamEvent
    from hoshikage.core.contracts import LoadedView

NS = 1_000_000_000
FOREVER = "9999-12-31T23:59:59.000000+00:00"
CAPABILITIES = ["completion"]
BUSY = "server busy, please try again.  maximum pending requests exceeded"  # two spaces, as clients match it

Kind = Literal["chat", "generate"]


class NdjsonEncoder:
    """Writes one answer as lines of JSON: no blank lines, no comments, a line feed after the last."""

    content_type = "application/x-ndjson"

    def __init__(self, kind: Kind, request: ChatRequest) -> None:
        self._kind: Kind = kind
        self._request = request
        self._text: list[str] = []

    def encode(self, event: StreamEvent) -> bytes:
        """A line for text, and one for the end."""
        match event:
            case Started():
                return b""
            case Chunk():
                self._text.append(event.text)
                return line(self._row(event.text)) if event.text else b""
            case done:
                return line(final_row(self._kind, self._request, "", "".join(self._text), done))

    def heartbeat(self) -> bytes:
        """An empty piece of text: the only sign of life that every client survives."""
        return line(self._row(""))

    def failure(self, error: HoshikageError) -> bytes:
        """An error in the stream."""
        return line(error_body(error))

    def _row(self, text: str) -> dict[str, Any]:
        return {**head(self._request.model), **text_field(self._kind, text), "done": False}


def final_row(kind: Kind, request: ChatRequest, shown: str, answer: str, done: Done) -> dict[str, Any]:
    """The last line, or a whole answer: `shown` is the text in it, `answer` all of the answer."""
    receipt, usage = done.receipt, done.usage
    row = {
        **head(request.model),
        **text_field(kind, shown),
        "done": True,
        "done_reason": done.finish_reason,
        "total_duration": int((receipt.total_s if receipt else 0) * NS),
        "load_duration": int((receipt.load_s if receipt else 0) * NS),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": int(usage.prefill_s * NS),
        "eval_count": usage.completion_tokens,
        "eval_duration": int(usage.decode_s * NS),
    }
    if kind == "generate" and request.prompt is None:
        row["context"] = write_context(request.messages, answer)
    return row


def loading_row(kind: Kind, model: str, reason: Literal["load", "unload"]) -> dict[str, Any]:
    """The answer to an empty prompt, which only loads or unloads."""
    return {**head(model), **text_field(kind, ""), "done": True, "done_reason": reason}


def head(model: str) -> dict[str, Any]:
    """What every row begins with."""
    return {"model": model, "created_at": rfc3339(time.time())}


def text_field(kind: Kind, text: str) -> dict[str, Any]:
    """Where the text goes."""
    return {"message": {"role": "assistant", "content": text}} if kind == "chat" else {"response": text}


def tag_row(record: ModelRecord, facts: ModelFacts) -> dict[str, Any]:
    """One row of `/api/tags`."""
    return {
        "name": tagged(record.name),
        "model": tagged(record.name),
        "modified_at": rfc3339(record.modified_at),
        "size": record.size_bytes,
        "digest": record.digest,
        "details": details(facts),
        "capabilities": CAPABILITIES,
    }


def ps_row(view: LoadedView, facts: ModelFacts) -> dict[str, Any]:
    """One row of `/api/ps`."""
    return {
        "name": tagged(view.record.name),
        "model": tagged(view.record.name),
        "size": view.size_bytes,
        "digest": view.record.digest,
        "details": details(facts),
        "expires_at": FOREVER if view.expires_at is None else rfc3339(view.expires_at),
        "size_vram": 0,
        "context_length": view.context_length,
    }


def show_body(record: ModelRecord, facts: ModelFacts, *, basename: str | None) -> dict[str, Any]:
    """The answer of `/api/show`; `model_info` must never be missing."""
    info: dict[str, Any] = {**facts.metadata, "general.architecture": facts.architecture}
    info["general.parameter_count"] = facts.parameter_count
    info["general.basename"] = basename or info.get("general.basename") or facts.name or record.name
    parameters = parameter_lines(record)
    source = record.file.name if record.file else record.name
    return {
        "modelfile": "\n".join([f"FROM {source}", *(f"PARAMETER {p}" for p in parameters)]),
        "parameters": "\n".join(parameters),
        "template": facts.chat_template,
        "details": details(facts),
        "model_info": info,
        "capabilities": CAPABILITIES,
        "modified_at": rfc3339(record.modified_at),
    }


def parameter_lines(record: ModelRecord) -> list[str]:
    """Parameters as Ollama prints them: the name in 30 columns, strings quoted."""
    stops = [f"{'stop':<30} {json.dumps(s, ensure_ascii=False)}" for s in record.stop]
    return stops + [f"{name:<30} {json.dumps(value)}" for name, value in record.options.items()]


def details(facts: ModelFacts) -> dict[str, Any]:
    """What a model is, in short."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": facts.architecture,
        "families": [facts.architecture] if facts.architecture else [],
        "parameter_size": facts.parameter_size,
        "quantization_level": facts.quantization,
        "context_length": facts.context_length,
        "embedding_length": facts.embedding_length,
    }


def tagged(name: str) -> str:
    """A name as Ollama shows it: with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def error_body(error: HoshikageError) -> Mapping[str, object]:
    """An error is a text here, and clients look for some of them word by word."""
    if error.code == "model_not_found":
        return {"error": f"model '{error.details.get('model', '')}' not found"}
    if error.code == "queue_full":
        return {"error": BUSY}
    return {"error": error.message}


def line(value: Mapping[str, object]) -> bytes:
    """One line of JSON."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
