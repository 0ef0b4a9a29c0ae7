"""The embedder: asks the server's own engine for vectors, and never makes another model leave for it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage import Caller, EmbedRequest
from hoshikage.core.embedding.fingerprint import fingerprint
from hoshikage.core.embedding.forms import TextForm, form_of, readable
from hoshikage.core.embedding.scale import ANSWERS, QUESTIONS, related_from
from hoshikage.core.errors import EmbedderFailed, HoshikageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hoshikage import LoadForecast, ModelRecord, ServedModels, TextKind
    from hoshikage.plugins.embedder_gguf.settings import GgufEmbedderSettings

NAME: Final = "gguf"
CALLER: Final = Caller(user_agent="hoshikage memory", key="hoshikage memory")  # no client's key looks like this


class GgufEmbedder:
    """A model that this server serves. Implements `Embedder`.

    Args:
        settings: the section.
        models: those of the server.
    """

    name = NAME

    def __init__(self, settings: GgufEmbedderSettings, models: ServedModels) -> None:
        self.identity = ""
        self.dimensions = 0
        self.related_from = 0.0
        self._settings = settings
        self._models = models
        self._form = TextForm()
        self._record: ModelRecord | None = None
        self._measured = False

    def at_hand(self) -> bool:
        """See `Embedder.at_hand`: it shares memory with the models that people ask, so it is taken by name only."""
        return False

    async def start(self) -> None:
        """See `Embedder.start`."""
        name = self._settings.model
        if not name:
            raise EmbedderFailed(
                'memory.embedder is "gguf", and embedder_gguf.model names no model: set it to the name of an embedding '
                "model that `hoshikage list` shows"
            )
        try:
            record = self._models.model(name)
            facts = await self._models.facts(record, strict=True)
            file = [] if record.file is None else [("model", record.file)]
            read = await asyncio.to_thread(fingerprint, file)
        except (HoshikageError, OSError) as error:
            raise EmbedderFailed(f"embedder_gguf.model {name!r} cannot be used: {error}") from error
        family = form_of(record.file.name if record.file is not None and form_of(name) == TextForm() else name)
        query, document = self._settings.query_prefix, self._settings.document_prefix
        self._form = TextForm(
            family.query if query is None else query, family.document if document is None else document
        )
        self._record, self._measured = record, False
        self.dimensions = facts.embedding_length
        content = read if file else record.name
        prefixes = f"{self._form.query!r} {self._form.document!r}"
        self.identity = f"{NAME} {name} {content} {prefixes} {self._settings.max_chars} characters"

    async def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        if self._record is None:
            await self.start()
        if not self._measured:
            questions, answers = await self._vectors(QUESTIONS, "query"), await self._vectors(ANSWERS, "document")
            self.related_from, self._measured = related_from(questions, answers), True
        return await self._vectors(texts, kind)

    async def close(self) -> None:
        """See `Embedder.close`: the model is the server's."""

    async def _vectors(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        name = self._settings.model
        prefix = self._form.query if kind == "query" else self._form.document
        inputs = tuple(prefix + readable(text, self._settings.max_chars) for text in texts)
        try:
            self._refuse_another(self._models.model(name))
            _refuse_pushing(await self._models.forecast(name, context_length=0, parallel=1))
            request = EmbedRequest(f"memory-{secrets.token_hex(8)}", name, inputs, truncate=True)
            made, _ = await self._models.embed(request, CALLER)
        except EmbedderFailed:
            raise
        except HoshikageError as error:
            raise EmbedderFailed(f"the model {name!r} made no vectors: {error}") from error
        return np.array(made.vectors, dtype=np.float32)

    def _refuse_another(self, record: ModelRecord) -> None:
        """A name that means another file now would mix two models' vectors."""
        if self._record is not None and record.identity() != self._record.identity():
            raise EmbedderFailed(
                f"the model {record.name!r} is another one than at the start of the server: start it again, and all "
                "memories are embedded again"
            )


def _refuse_pushing(forecast: LoadForecast) -> None:
    """Load nothing that makes somebody leave or wait; a model that is loaded is asked as everybody asks it."""
    if forecast.tier == "loaded":
        return
    others = ", ".join(dict.fromkeys((*forecast.evicts, *forecast.waits_for)))
    if others or not forecast.fits or not forecast.starts_at_once:
        because = f"{others} would have to leave for it" if others else "there is no room for it"
        raise EmbedderFailed(
            f"the model {forecast.model!r} is not loaded, and {because}; memory waits: raise residency.max_loaded or "
            f"free memory, or have it stay with `hoshikage load {forecast.model}` and `hoshikage pin {forecast.model}`"
        )
