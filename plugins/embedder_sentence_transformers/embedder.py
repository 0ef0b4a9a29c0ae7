"""The embedder: finds its model on this machine, and asks its process for vectors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.embedding.forms import TextForm
from hoshikage.core.embedding.process import EmbedderProcess
from hoshikage.core.errors import EmbedderFailed
from hoshikage.plugins.embedder_sentence_transformers import files, process
from hoshikage.plugins.embedder_sentence_transformers.process import Loading

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hoshikage import TextKind
    from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings

log = structlog.get_logger(__name__)

NAME: Final = "sentence-transformers"


class SentenceTransformers:
    """A model in the layout of sentence-transformers. Implements `Embedder`.

    Args:
        settings: the section.
        folder: the model's name taken as a path.
        hub: the cache of the Hub; `None` is where its library has it.
    """

    name = NAME

    def __init__(self, settings: SentenceTransformersSettings, folder: Path, hub: Path | None = None) -> None:
        self.identity = ""
        self.dimensions = 0
        self.related_from = 0.0
        self._settings = settings
        self._folder = folder
        self._hub = hub
        self._process = EmbedderProcess(self.name)
        self._loading: Loading | None = None
        self._download: asyncio.Task[str] | None = None
        self._has_code = False
        self._measured = False

    def at_hand(self) -> bool:
        """See `Embedder.at_hand`."""
        path = self._find()
        if path is None:
            return False
        try:
            model = files.read(self._settings.model, path)
        except EmbedderFailed as error:
            log.warning("embedder_passed_over", embedder=self.name, reason=error.message)
            return False
        if model.has_code and not self._settings.trust_remote_code:
            log.warning("embedder_passed_over", embedder=self.name, reason=self._untrusted())
            return False
        return True

    async def start(self) -> None:
        """See `Embedder.start`."""
        name, settings = self._settings.model, self._settings
        path = await asyncio.to_thread(self._find)
        if path is None and settings.allow_download:
            path = self._downloaded(name)
        if path is None:
            raise EmbedderFailed(
                f"the model {name!r} is not on this machine, or not all of it: sentence_transformers.allow_download = "
                "true fetches it once; or bring a folder with its configuration, weights and vocabulary here, and name "
                "that in sentence_transformers.model"
            )
        model = await asyncio.to_thread(files.read, name, path)
        longest = min(settings.max_tokens, model.form.max_tokens or settings.max_tokens)
        form = TextForm(model.form.query, model.form.document, longest)
        self._loading = Loading(str(path), form, settings.trust_remote_code, settings.device, settings.threads)
        self._has_code = model.has_code
        self.dimensions = model.dimensions
        prefixes = f"{form.query!r} {form.document!r}"
        self.identity = f"{NAME} {Path(name).name} {model.fingerprint} {prefixes} {longest} tokens, {self.dimensions}"

    async def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        if self._loading is None:
            await self.start()
        assert self._loading is not None
        try:
            if not self._measured:
                self.related_from = await self._process.run(process.measure, self._loading)
                self._measured = True
            return await self._process.run(process.embed, self._loading, tuple(texts), kind)
        except EmbedderFailed as error:
            if self._has_code and not self._settings.trust_remote_code:  # the library's words for it are many
                raise EmbedderFailed(self._untrusted()) from error
            raise

    async def close(self) -> None:
        """See `Embedder.close`. A download is cut off, and goes on where it was the next time."""
        await self._process.close()
        if self._download is not None:
            self._download.cancel()
            await asyncio.gather(self._download, return_exceptions=True)
            self._download = None

    def _downloaded(self, name: str) -> Path:
        """The folder of what was fetched; the first call begins with it, and nobody waits for the end.

        Raises:
            EmbedderFailed: it is not there yet, or could not be fetched.
        """
        if self._download is None:
            self._download = asyncio.create_task(self._process.run(process.download, name), name="download of a model")
            log.info("embedding_model_download", model=name)
        if not self._download.done():
            raise EmbedderFailed(f"the model {name!r} is being fetched from the Hub")
        finished, self._download = self._download, None
        return Path(finished.result())

    def _find(self) -> Path | None:
        from huggingface_hub import constants

        return files.find(self._settings.model, self._folder, self._hub or Path(constants.HF_HUB_CACHE))

    def _untrusted(self) -> str:
        return (
            f"the model {self._settings.model!r} brings code of its own, which is not run: set "
            "sentence_transformers.trust_remote_code = true if you trust its author, or choose a model without, "
            "e.g. cl-nagoya/ruri-v3-30m"
        )
