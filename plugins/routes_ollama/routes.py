"""The Ollama routes."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from quart import Blueprint, Response, g, request

from hoshikage import RouteGroup
from hoshikage.core.errors import NotSupported
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of, check_name
from hoshikage.core.http.durations import keep_alive_s
from hoshikage.core.http.stream import streams
from hoshikage.plugins.routes_ollama.answers import NdjsonEncoder, loading_row, whole_body
from hoshikage.plugins.routes_ollama.bodies import ChatBody, GenerateBody, ShowBody
from hoshikage.plugins.routes_ollama.changing import add_blob_routes, add_change_routes
from hoshikage.plugins.routes_ollama.format import error_body, json_response
from hoshikage.plugins.routes_ollama.listing import ps_row, show_body, staged_row, tag_row
from hoshikage.plugins.routes_ollama.loading import load_or_unload
from hoshikage.plugins.routes_ollama.options import read_options
from hoshikage.plugins.routes_ollama.parse import chat_request, generate_request, model_of
from hoshikage.plugins.routes_ollama.pulling import add_pull_routes
from hoshikage.plugins.routes_ollama.vector_routes import add_vector_routes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hoshikage import ChatRequest, ModelRecord, ServerApi, StreamEvent
    from hoshikage.plugins.routes_ollama.answers import Kind
    from hoshikage.plugins.routes_ollama.bodies import AnswerBody

# The Ollama interface that these routes follow. Clients compare it as numbers; our own version is in /v1/status.
API_LEVEL = "0.32.15"


def ollama_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("ollama", __name__)
    add_model_routes(blueprint, server)
    add_answer_routes(blueprint, server)
    add_vector_routes(blueprint, server)
    add_change_routes(blueprint, server)
    add_blob_routes(blueprint, server)
    add_pull_routes(blueprint, server)
    return RouteGroup("ollama", blueprint, prefixes=("/api",), error_body=error_body)


def add_model_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Who is there, and what models there are."""

    @blueprint.get("/")
    async def banner() -> Response:
        return Response("Ollama is running", content_type="text/plain; charset=utf-8")

    @blueprint.get("/api/version")
    async def version() -> dict[str, Any]:
        return {"version": API_LEVEL}

    @blueprint.get("/api/tags")
    async def tags() -> dict[str, Any]:
        return {"models": [await row_of(server, record) for record in server.models()]}

    @blueprint.get("/api/ps")
    async def loaded() -> dict[str, Any]:
        now = server.status()
        views = [v for v in now.loaded if v.state == "ready"]
        views.sort(key=lambda v: v.expires_at or float("inf"), reverse=True)
        rows = [ps_row(v, await server.facts(v.record), parent=parent_of(server, v.record)) for v in views]
        return {"models": rows, "staged": [staged_row(view) for view in now.staged]}

    @blueprint.post("/api/show")
    async def show() -> dict[str, Any]:
        name = model_of(await read_body(ShowBody))
        record = server.model(name)
        # Copilot Chat shows a model under its base name, so it gets the name that it asked for.
        copilot = request.headers.get("User-Agent", "").startswith("GitHubCopilotChat/")
        facts, capabilities = await server.facts(record, strict=True), await server.capabilities(record)
        entry = server.store.entry(record.name)
        return show_body(record, facts, capabilities, basename=name if copilot else None, entry=entry)


async def row_of(server: ServerApi, record: ModelRecord) -> dict[str, Any]:
    """One model of the list."""
    facts, capabilities = await server.facts(record), await server.capabilities(record)
    return tag_row(record, facts, capabilities, parent=parent_of(server, record))


def parent_of(server: ServerApi, record: ModelRecord) -> str:
    """The model that a model was created from."""
    entry = server.store.entry(record.name)
    return entry.parent if entry else ""


def add_answer_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Chat and generate."""

    @blueprint.post("/api/chat")
    async def chat() -> Response:
        body = await read_body(ChatBody)
        if not body.messages:
            return await load_only(server, "chat", body)
        return await answer(server, "chat", chat_request(body, g.request_id), body)

    @blueprint.post("/api/generate")
    async def generate() -> Response:
        body = await read_body(GenerateBody)
        if not (body.prompt or body.suffix):
            return await load_only(server, "generate", body)
        wanted = generate_request(body, g.request_id)
        await check_able(server, wanted)
        return await answer(server, "generate", wanted, body)


async def answer(server: ServerApi, kind: Kind, wanted: ChatRequest, body: AnswerBody) -> Response:
    """Answer as a stream, or in one piece."""
    caller = caller_of(request, session_id=check_name(body.session_id or "", "session_id"))
    events = in_ollamas_words(server.chat(wanted, caller), wanted.model)
    if wanted.stream:
        return await streams().respond(events, NdjsonEncoder(kind, wanted))
    return json_response(whole_body(kind, wanted, await streams().collect(events)))


async def in_ollamas_words(events: AsyncGenerator[StreamEvent, None], model: str) -> AsyncGenerator[StreamEvent, None]:
    """The same events; that a model cannot fill gaps is said in the words that clients look for."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except NotSupported as error:
        if error.param != "suffix":
            raise
        raise NotSupported(f'"{model}" does not support insert: {error.message}', param="suffix") from error


async def check_able(server: ServerApi, wanted: ChatRequest) -> None:
    """Refuse what the kernel does not refuse in this route's words, or not at all where no template is applied.

    Raises:
        NotSupported: the model writes no text, or it is to think and cannot.
    """
    able = await server.capabilities(server.model(wanted.model))
    if "completion" not in able:
        raise NotSupported(f'"{wanted.model}" does not support generate', param="model")
    if wanted.thinking.enabled and "thinking" not in able:
        raise NotSupported(f'"{wanted.model}" does not support thinking', param="think")


async def load_only(server: ServerApi, kind: Kind, body: AnswerBody) -> Response:
    """Answer an empty prompt."""
    name = model_of(body)
    num_ctx = read_options(body.options).num_ctx
    reason = await load_or_unload(server, name, keep_alive_s(body.keep_alive), num_ctx)
    return json_response(loading_row(kind, name, reason))
