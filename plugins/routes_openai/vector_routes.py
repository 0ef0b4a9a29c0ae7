"""The routes that answer with numbers about texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import g, request

from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.plugins.routes_openai.bodies import DetokenizeBody, EmbeddingsBody, RerankBody, TokenizeBody
from hoshikage.plugins.routes_openai.format import json_response
from hoshikage.plugins.routes_openai.vectors import embed_request, embeddings_body, rerank_body, rerank_request

if TYPE_CHECKING:
    from quart import Blueprint, Response

    from hoshikage import ServerApi


def add_vector_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Embeddings, relevance and tokens."""

    @blueprint.post("/v1/embeddings")
    async def embeddings() -> Response:
        body = await read_body(EmbeddingsBody)
        found, _ = await server.embed(embed_request(body, g.request_id), caller_of(request))
        return json_response(embeddings_body(body.model, found, body.encoding_format))

    @blueprint.post("/v1/rerank")
    @blueprint.post("/v1/reranking")
    @blueprint.post("/rerank")
    async def rerank() -> Response:
        body = await read_body(RerankBody)
        found, _ = await server.rerank(rerank_request(body, g.request_id), caller_of(request))
        return json_response(rerank_body(body, found, g.request_id))

    @blueprint.post("/v1/tokenize")
    @blueprint.post("/tokenize")
    async def tokenize() -> dict[str, Any]:
        body = await read_body(TokenizeBody)
        model, special = model_or_only(server, body.model), bool(body.add_special)
        tokens = await server.tokenize(model, body.content, special=special, caller=caller_of(request))
        return {"tokens": list(tokens)}

    @blueprint.post("/v1/detokenize")
    @blueprint.post("/detokenize")
    async def detokenize() -> dict[str, Any]:
        body = await read_body(DetokenizeBody)
        model = model_or_only(server, body.model)
        return {"content": await server.detokenize(model, tuple(body.tokens), caller=caller_of(request))}


def model_or_only(server: ServerApi, name: str | None) -> str:
    """The model that a body names; llama.cpp's server has one only, so there its clients name none.

    Raises:
        InvalidRequest: none is named, and there is not exactly one.
    """
    if name is not None:
        return name
    records = server.models()
    if len(records) != 1:
        raise InvalidRequest(
            f"model: this field is required, because there is not one model here but {len(records)}", param="model"
        )
    return records[0].name
