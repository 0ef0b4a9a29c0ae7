"""The OpenAI routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint, g, request

from hoshikage import RouteGroup
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.core.http.stream import streams
from hoshikage.plugins.routes_openai.bodies import ChatBody
from hoshikage.plugins.routes_openai.format import (
    SseEncoder,
    completion_body,
    error_body,
    model_body,
)
from hoshikage.plugins.routes_openai.parse import chat_request

if TYPE_CHECKING:
    from quart import Response

    from hoshikage import ServerApi


def openai_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("openai", __name__)

    @blueprint.get("/v1")
    async def root() -> dict[str, Any]:
        """Some clients ask the base address whether anybody is there."""
        return {"object": "api", "name": "hoshikage"}

    @blueprint.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model_body(record) for record in server.models()]}

    @blueprint.get("/v1/models/<path:name>")
    async def model(name: str) -> dict[str, Any]:
        return model_body(server.model(name))

    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> dict[str, Any] | Response:
        body = await read_body(ChatBody)
        wanted = chat_request(body, g.request_id)
        if not wanted.stream:
            text, done = await streams().collect(server.chat(wanted, caller_of(request)))
            return completion_body(wanted.request_id, wanted.model, text, done)
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        encoder = SseEncoder(wanted.request_id, wanted.model, include_usage=include_usage)
        return await streams().respond(server.chat(wanted, caller_of(request)), encoder)

    return RouteGroup("openai", blueprint, prefixes=("/v1",), error_body=error_body)
