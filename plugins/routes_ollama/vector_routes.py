"""The routes that turn texts into vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import g, request

from hoshikage.core.errors import ContextOverflow, ModelNotFound
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.plugins.routes_ollama.bodies import EmbedBody, EmbeddingsBody
from hoshikage.plugins.routes_ollama.format import json_response
from hoshikage.plugins.routes_ollama.loading import load_or_unload
from hoshikage.plugins.routes_ollama.vectors import embed_body, embed_request, embeddings_request, in_ollamas_words

if TYPE_CHECKING:
    from quart import Blueprint, Response

    from hoshikage import Embeddings, EmbedRequest, Receipt, ServerApi


def add_vector_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Embeddings, and their older form."""

    @blueprint.post("/api/embed")
    async def embed() -> Response:
        wanted = embed_request(await read_body(EmbedBody), g.request_id)
        found = await vectors_of(server, wanted)
        return json_response(embed_body(wanted.model, *found) if found else {"model": wanted.model, "embeddings": []})

    @blueprint.post("/api/embeddings")
    async def embeddings() -> Response:
        found = await vectors_of(server, embeddings_request(await read_body(EmbeddingsBody), g.request_id))
        return json_response({"embedding": found[0].vectors[0] if found else []})


async def vectors_of(server: ServerApi, wanted: EmbedRequest) -> tuple[Embeddings, Receipt] | None:
    """The vectors; `None` where there is no input, which only loads the model or lets it go."""
    try:
        if wanted.inputs:
            return await server.embed(wanted, caller_of(request))
        await load_or_unload(server, wanted.model, wanted.keep_alive_s)
    except (ModelNotFound, ContextOverflow) as error:
        raise in_ollamas_words(error) from error
    return None
