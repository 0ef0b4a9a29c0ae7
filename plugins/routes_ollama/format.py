"""What all answers of this protocol share: lines, errors, durations, and the head of each row."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
from quart import Response

from hoshikage.core.http.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hoshikage import HoshikageError

NS = 1_000_000_000
BUSY = "server busy, please try again.  maximum pending requests exceeded"  # two spaces, as clients match it


def head(model: str) -> dict[str, Any]:
    """What every row of an answer begins with."""
    return {"model": model, "created_at": rfc3339(time.time())}


def nanoseconds(seconds: float) -> int:
    """A length of time as Ollama writes it."""
    return int(seconds * NS)


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


def json_response(value: Mapping[str, object]) -> Response:
    """An answer in one piece, written by orjson: with a million numbers in it, others would wait for seconds."""
    return Response(orjson.dumps(value), content_type="application/json; charset=utf-8")
