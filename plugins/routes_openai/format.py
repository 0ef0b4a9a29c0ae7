"""From events and errors to OpenAI's JSON and server-sent events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from hoshikage import Chunk, Started, __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage import Done, HoshikageError, ModelRecord, StreamEvent, Usage

FINGERPRINT = f"hoshikage-{__version__}"
OWNER = "hoshikage"

ERROR_TYPES = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
}


class SseEncoder:
    """Writes one chat completion as server-sent events."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, request_id: str, model: str, *, include_usage: bool) -> None:
        self._head = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }
        self._include_usage = include_usage

    def encode(self, event: StreamEvent) -> bytes:
        """The role comes once, in the first chunk: clients add up what they get."""
        match event:
            case Started():
                return self._choice({"role": "assistant", "content": ""})
            case Chunk():
                return self._choice({"content": event.text}) if event.text else b""
            case done:
                return self._choice({}, done.finish_reason) + self._usage(done.usage) + b"data: [DONE]\n\n"

    def heartbeat(self) -> bytes:
        """A comment, which clients pass over."""
        return b": ping\n\n"

    def failure(self, error: HoshikageError) -> bytes:
        """An error in the stream, then the end."""
        return sse(error_body(error)) + b"data: [DONE]\n\n"

    def _choice(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse({**self._head, "choices": [choice]})

    def _usage(self, usage: Usage) -> bytes:
        """Only for those who asked: some clients read `choices[0]` of every chunk."""
        return sse({**self._head, "choices": [], "usage": usage_body(usage)}) if self._include_usage else b""


def completion_body(request_id: str, model: str, text: str, done: Done) -> dict[str, Any]:
    """A whole chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": done.finish_reason}
    return {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
        "usage": usage_body(done.usage),
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """Token counts."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def model_body(record: ModelRecord) -> dict[str, Any]:
    """One row of the list of models."""
    return {"id": record.name, "object": "model", "created": int(record.modified_at), "owned_by": OWNER}


def error_body(error: HoshikageError) -> Mapping[str, object]:
    """An error object; a bare string would lose its message in the official client."""
    return {
        "error": {
            "message": error.message,
            "type": ERROR_TYPES.get(error.status, "server_error"),
            "param": error.param,
            "code": error.code,
            **error.details,
        }
    }


def sse(value: Mapping[str, object]) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"
