"""The route that brings models from elsewhere."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog
from quart import Blueprint, Response

from hoshikage.core.errors import HoshikageError
from hoshikage.core.http.body import read_body
from hoshikage.core.http.stream import STREAM_HEADERS
from hoshikage.plugins.routes_ollama.bodies import ModelBody
from hoshikage.plugins.routes_ollama.format import error_body, json_response, line
from hoshikage.plugins.routes_ollama.parse import model_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import DownloadProgress, ServerApi

log = structlog.get_logger(__name__)


class PullBody(ModelBody, frozen=True, kw_only=True):
    """`POST /api/pull`."""

    stream: bool | None = None
    insecure: bool | None = None


def add_pull_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Pull."""

    @blueprint.post("/api/pull")
    async def pull() -> Response:
        body = await read_body(PullBody)
        steps = server.pull(model_of(body), insecure=bool(body.insecure))
        if body.stream is not False:
            return await _stream(steps)
        async with aclosing(steps):
            *_, last = [step async for step in steps]
        return json_response(row_of(last))


def row_of(step: DownloadProgress) -> dict[str, Any]:
    """One step as Ollama writes it; bytes only where there is a file."""
    if not step.digest:
        return {"status": step.status}
    return {"status": step.status, "digest": step.digest, "total": step.total, "completed": step.completed}


async def _stream(steps: AsyncGenerator[DownloadProgress, None]) -> Response:
    """Answer with a line for each step. What fails before the first one keeps its status code."""
    first = await anext(steps)
    response = Response(_lines(first, steps), content_type="application/x-ndjson", headers=STREAM_HEADERS)
    response.timeout = None  # Quart would cut the stream after a minute
    return response


async def _lines(first: DownloadProgress, steps: AsyncGenerator[DownloadProgress, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(steps):  # a client that goes away asks no more
        try:
            yield line(row_of(first))
            async for step in steps:
                yield line(row_of(step))
        except HoshikageError as error:
            log.info("pull_refused", code=error.code, reason=error.message)
            yield line(error_body(error))
