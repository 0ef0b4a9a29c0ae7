"""Embeddings and relevance: from a body to the request, and from the numbers to the answer."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from hoshikage import EmbedRequest, RerankRequest
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.durations import keep_alive_s
from hoshikage.plugins.routes_openai.bodies import MOST_INPUTS
from hoshikage.plugins.routes_openai.inputs import several

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hoshikage import Embeddings, Scores
    from hoshikage.plugins.routes_openai.bodies import EmbeddingsBody, Encoding, RerankBody


def embed_request(body: EmbeddingsBody, request_id: str) -> EmbedRequest:
    """Translate a body.

    Raises:
        InvalidRequest: an input is empty, or there are too many.
    """
    inputs = several(body.input, "input", most=MOST_INPUTS)
    for i, text in enumerate(inputs):
        if not text:
            field = "input" if isinstance(body.input, str) else f"input[{i}]"
            raise InvalidRequest(f"{field}: an empty text has no embedding", param=field)
    return EmbedRequest(
        request_id=request_id,
        model=body.model,
        inputs=inputs,
        dimensions=body.dimensions,
        truncate=bool(body.truncate),
        keep_alive_s=keep_alive_s(body.keep_alive),
    )


def embeddings_body(model: str, found: Embeddings, encoding: Encoding | None) -> dict[str, Any]:
    """The answer of `/v1/embeddings`."""
    written = _base64 if encoding == "base64" else list
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": written(v)} for i, v in enumerate(found.vectors)],
        "model": model,
        "usage": _usage(found.prompt_tokens),
    }


def rerank_request(body: RerankBody, request_id: str) -> RerankRequest:
    """Translate a body."""
    return RerankRequest(
        request_id=request_id,
        model=body.model,
        query=body.query,
        documents=_texts(body),
        keep_alive_s=keep_alive_s(body.keep_alive),
    )


def rerank_body(body: RerankBody, found: Scores, request_id: str) -> dict[str, Any]:
    """The answer of `/v1/rerank`: the most relevant first, equals in the order in which they came."""
    order = sorted(range(len(found.scores)), key=lambda i: -found.scores[i])[: body.top_n]
    texts = _texts(body) if body.return_documents else ()
    return {
        "id": f"rerank-{request_id}",
        "object": "list",
        "model": body.model,
        "results": [{"index": i, "relevance_score": found.scores[i], **_document(texts, i)} for i in order],
        "usage": _usage(found.prompt_tokens),
        "meta": {"tokens": {"input_tokens": found.prompt_tokens}},
    }


def _texts(body: RerankBody) -> tuple[str, ...]:
    return tuple(d if isinstance(d, str) else d.text for d in body.documents)


def _document(texts: Sequence[str], index: int) -> Mapping[str, object]:
    return {"document": {"text": texts[index]}} if texts else {}


def _usage(prompt_tokens: int) -> dict[str, int]:
    return {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, whatever this machine has."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
