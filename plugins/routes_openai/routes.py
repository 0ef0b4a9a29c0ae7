"""The OpenAI routes, and those of its neighbours that clients of this protocol use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quart import Blueprint, g, request

from hoshikage import RouteGroup
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.core.http.stream import streams
from hoshikage.core.names import name_key
from hoshikage.plugins.routes_openai.batch import merged
from hoshikage.plugins.routes_openai.bodies import ChatBody, CompletionBody
from hoshikage.plugins.routes_openai.chats import ChatEncoder, Wording, chat_body
from hoshikage.plugins.routes_openai.completions import (
    CompletionEncoder,
    Layout,
    completion_body,
    completion_requests,
    echoes,
)
from hoshikage.plugins.routes_openai.format import error_body, json_response, model_body
from hoshikage.plugins.routes_openai.parse import asks_for_usage, chat_request, session_of
from hoshikage.plugins.routes_openai.tools import is_old_style
from hoshikage.plugins.routes_openai.vector_routes import add_vector_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quart import Response

    from hoshikage import ChatRequest, ServerApi

PREFIXES = ("/v1", "/rerank", "/tokenize", "/detokenize")


def openai_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("openai", __name__)
    add_model_routes(blueprint, server)
    add_vector_routes(blueprint, server)

    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> Response:
        body = await read_body(ChatBody)
        wanted = chat_request(body, g.request_id)
        wording = Wording(old_style=is_old_style(body), include_usage=asks_for_usage(body))
        events = server.chat(wanted, caller_of(request, session_id=session_of(body)))
        if wanted.stream:
            return await streams().respond(events, ChatEncoder(wanted, wording))
        return json_response(chat_body(wanted, await streams().collect(events), wording))

    @blueprint.post("/v1/completions")
    async def completions() -> Response:
        body = await read_body(CompletionBody)
        wanted = completion_requests(body, g.request_id)
        layout = Layout(
            request_id=g.request_id,
            model=body.model,
            echoes=await prompt_texts(server, wanted) if body.echo else ("",) * len(wanted) * wanted[0].n,
            logprobs=body.logprobs,
            include_usage=asks_for_usage(body),
        )
        caller = caller_of(request)
        events = merged([server.chat(one, caller) for one in wanted], answers_each=wanted[0].n)
        if body.stream:
            return await streams().respond(events, CompletionEncoder(layout))
        return json_response(completion_body(layout, await streams().collect(events)))

    return RouteGroup("openai", blueprint, prefixes=PREFIXES, error_body=error_body)


def add_model_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """What models there are."""

    @blueprint.get("/v1")
    async def root() -> dict[str, Any]:
        """Some clients ask the base address whether anybody is there."""
        return {"object": "api", "name": "hoshikage"}

    @blueprint.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model_body(record) for record in server.models()]}

    @blueprint.get("/v1/models/<path:name>")
    async def model(name: str) -> dict[str, Any]:
        record = server.model(name)
        by_own_name = name_key(name) == name_key(record.name)  # and not as `name+memory`, which keeps that id
        return model_body(record if by_own_name else replace(record, name=name))


async def prompt_texts(server: ServerApi, wanted: Sequence[ChatRequest]) -> tuple[str, ...]:
    """The text that stands before each choice where the prompt is to be repeated."""
    texts = [
        await server.detokenize(one.model, one.prompt, caller=caller_of(request))
        if isinstance(one.prompt, tuple)
        else one.prompt or ""
        for one in wanted
    ]
    return echoes(texts, wanted[0].n)
