"""Embeddings: from a body to the request, and from the numbers to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hoshikage import EmbedRequest
from hoshikage.core.errors import ContextOverflow, ModelNotFound
from hoshikage.core.http.durations import keep_alive_s
from hoshikage.plugins.routes_ollama.format import nanoseconds
from hoshikage.plugins.routes_ollama.options import read_options
from hoshikage.plugins.routes_ollama.parse import model_of

if TYPE_CHECKING:
    from hoshikage import Embeddings, HoshikageError, Receipt
    from hoshikage.plugins.routes_ollama.bodies import EmbedBody, EmbeddingsBody

TOO_LONG = "the input length exceeds the context length"


class ModelNotPulled(ModelNotFound):
    """No model has that name: these routes say it in other words than chat does."""

    code = "model_not_pulled"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.message = f'model "{name}" not found, try pulling it first'


def embed_request(body: EmbedBody, request_id: str) -> EmbedRequest:
    """Translate the body of `/api/embed`; an empty text alone is no input, one of several is.

    Raises:
        InvalidRequest: a field has the right type but makes no sense.
    """
    read_options(body.options)  # none has an effect here, but a wrong type is still told
    inputs = ([body.input] if body.input else []) if isinstance(body.input, str) else body.input or []
    return EmbedRequest(
        request_id=request_id,
        model=model_of(body),
        inputs=tuple(inputs),
        dimensions=body.dimensions or None,
        truncate=body.truncate is not False,
        keep_alive_s=keep_alive_s(body.keep_alive),
    )


def embeddings_request(body: EmbeddingsBody, request_id: str) -> EmbedRequest:
    """Translate the body of `/api/embeddings`, which always cuts what is too long."""
    read_options(body.options)
    return EmbedRequest(
        request_id=request_id,
        model=model_of(body),
        inputs=(body.prompt,) if body.prompt else (),
        truncate=True,
        keep_alive_s=keep_alive_s(body.keep_alive),
    )


def embed_body(model: str, found: Embeddings, receipt: Receipt) -> dict[str, Any]:
    """The answer of `/api/embed`."""
    return {
        "model": model,
        "embeddings": found.vectors,
        "total_duration": nanoseconds(receipt.total_s),
        "load_duration": nanoseconds(receipt.load_s),
        "prompt_eval_count": found.prompt_tokens,
    }


def in_ollamas_words(error: ModelNotFound | ContextOverflow) -> HoshikageError:
    """An error as clients of these routes know it."""
    if isinstance(error, ModelNotFound):
        return ModelNotPulled(error.name)
    reason = error.message.removeprefix(TOO_LONG).removeprefix(": ")
    return ContextOverflow(f"{TOO_LONG}: {reason}", param=error.param, details=error.details)
