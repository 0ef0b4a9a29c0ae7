"""What all answers of this protocol share: counts, models, errors, and server-sent events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
from quart import Response

from hoshikage import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage import HoshikageError, ModelRecord, Usage

FINGERPRINT = f"hoshikage-{__version__}"
OWNER = "hoshikage"
SSE = "text/event-stream; charset=utf-8"
SSE_HEARTBEAT = b": ping\n\n"  # a comment, which clients pass over
SSE_END = b"data: [DONE]\n\n"

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "unavailable_error",
    504: "timeout_error",
}


def head(prefix: str, request_id: str, kind: str, model: str) -> dict[str, Any]:
    """What every answer begins with; all chunks of a stream share one."""
    return {
        "id": f"{prefix}-{request_id}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """Token counts; guesses ahead that turned out right or wrong are what OpenAI calls predictions."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "accepted_prediction_tokens": usage.accepted_tokens,
            "rejected_prediction_tokens": max(usage.drafted_tokens - usage.accepted_tokens, 0),
        },
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


def sse_failure(error: HoshikageError) -> bytes:
    """An error in a stream, then its end."""
    return sse(error_body(error)) + SSE_END


def json_response(value: Mapping[str, object]) -> Response:
    """An answer in one piece, written by orjson: with a million numbers in it, others would wait for seconds."""
    return Response(orjson.dumps(value), content_type="application/json; charset=utf-8")
