"""The Ollama routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint, Response, g, request

from hoshikage import RouteGroup
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.core.http.stream import streams
from hoshikage.plugins.routes_ollama.bodies import ChatBody, GenerateBody, ShowBody
from hoshikage.plugins.routes_ollama.format import (
    NdjsonEncoder,
    error_body,
    final_row,
    loading_row,
    ps_row,
    show_body,
    tag_row,
)
from hoshikage.plugins.routes_ollama.parse import chat_request, generate_request, keep_alive_s, model_of

if TYPE_CHECKING:
    from hoshikage import ChatRequest, ServerApi
    from hoshikage.plugins.routes_ollama.format import Kind

# The Ollama interface that these routes follow. Clients compare it as numbers; our own version is in /v1/status.
API_LEVEL = "0.32.15"


def ollama_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("ollama", __name__)

    @blueprint.get("/")
    async def banner() -> Response:
        return Response("Ollama is running", content_type="text/plain; charset=utf-8")

    @blueprint.get("/api/version")
    async def version() -> dict[str, Any]:
        return {"version": API_LEVEL}

    @blueprint.get("/api/tags")
    async def tags() -> dict[str, Any]:
        return {"models": [tag_row(record, await server.facts(record)) for record in server.models()]}

    @blueprint.get("/api/ps")
    async def loaded() -> dict[str, Any]:
        views = [v for v in server.status().loaded if v.state == "ready"]
        views.sort(key=lambda v: v.expires_at or float("inf"), reverse=True)
        return {"models": [ps_row(view, await server.facts(view.record)) for view in views]}

    @blueprint.post("/api/show")
    async def show() -> dict[str, Any]:
        name = model_of(await read_body(ShowBody))
        record = server.model(name)
        # Copilot Chat shows a model under its base name, so it gets the name that it asked for.
        copilot = request.headers.get("User-Agent", "").startswith("GitHubCopilotChat/")
        return show_body(record, await server.facts(record), basename=name if copilot else None)

    @blueprint.post("/api/chat")
    async def chat() -> dict[str, Any] | Response:
        body = await read_body(ChatBody)
        if not body.messages:
            return await load_only(server, "chat", body)
        return await answer(server, "chat", chat_request(body, g.request_id))

    @blueprint.post("/api/generate")
    async def generate() -> dict[str, Any] | Response:
        body = await read_body(GenerateBody)
        if not body.prompt:
            return await load_only(server, "generate", body)
        return await answer(server, "generate", generate_request(body, g.request_id))

    return RouteGroup("ollama", blueprint, prefixes=("/api",), error_body=error_body)


async def answer(server: ServerApi, kind: Kind, wanted: ChatRequest) -> dict[str, Any] | Response:
    """Answer as a stream, or in one piece."""
    events = server.chat(wanted, caller_of(request))
    if wanted.stream:
        return await streams().respond(events, NdjsonEncoder(kind, wanted))
    text, done = await streams().collect(events)
    return final_row(kind, wanted, text, text, done)


async def load_only(server: ServerApi, kind: Kind, body: ChatBody | GenerateBody) -> dict[str, Any]:
    """An empty prompt loads the model, or with a `keep_alive` of 0 lets it go."""
    name, keep = model_of(body), keep_alive_s(body.keep_alive)
    if keep == 0:
        await server.unload(name)
        return loading_row(kind, name, "unload")
    await server.load(name, keep_alive_s=keep, caller=caller_of(request))
    return loading_row(kind, name, "load")
