"""Makes old conversations short while nobody asks the server anything, one after the other, in small steps."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from hoshikage.core.errors import HoshikageError, MemoryDamaged
from hoshikage.plugins.memory.digests.by_model import write_by_model
from hoshikage.plugins.memory.digests.content import digest_of, parts_of, vectors_by_words
from hoshikage.plugins.memory.embedding.asking import vectors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hoshikage import Embedder, ServedModels
    from hoshikage.plugins.memory.digests.content import Part
    from hoshikage.plugins.memory.embedding.work import Write
    from hoshikage.plugins.memory.settings import DigestSettings

log = structlog.get_logger(__name__)

DAY_S: Final = 86_400.0
FIRST_WAIT_S: Final = 30.0  # after a start, others have more to do
ROUND_S: Final = 3_600.0
IDLE_POLL_S: Final = 2.0
AT_ONCE: Final = 20  # conversations of one look at the tables
BATCH: Final = 16  # sentences that are embedded before it looks again whether somebody asks


@dataclass(frozen=True, slots=True)
class Digests:
    """How digests are made.

    Attributes:
        settings: the section.
        models: of the server; without them, sentences are chosen, and the server counts as idle.
    """

    settings: DigestSettings
    models: ServedModels | None = None


class Digesting:
    """Gives old conversations their digests. Its owner starts and stops it.

    Nothing of a digest that is not finished is kept: after a stop, that conversation is read again.

    Args:
        digests: see there.
        write: into the database.
        embedder: the one whose vectors are in use; `None` while it is not known, or without any.
    """

    def __init__(self, digests: Digests, write: Write, embedder: Callable[[], Embedder | None]) -> None:
        self._settings = digests.settings
        self._models = digests.models
        self._write = write
        self._embedder = embedder
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless the settings say no."""
        if self._settings.enabled:
            self._work = asyncio.create_task(self._digest_all(), name="digests of old conversations")

    async def stop(self) -> None:
        """End the work. Idempotent."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._work = None

    # --- inside ---

    async def _digest_all(self) -> None:
        """All that are old by now, and later again."""
        await asyncio.sleep(FIRST_WAIT_S)
        while True:
            made = 0
            try:
                made = await self._digest_some()
            except MemoryDamaged:
                return  # the log says so already
            except Exception as error:  # of an embedder or a model; the next round is another one
                log.warning("digests_not_made", reason=f"{type(error).__name__}: {error}", again_in_s=ROUND_S)
            if not made:
                await asyncio.sleep(ROUND_S)

    async def _digest_some(self) -> int:
        """The next ones. Returns how many were looked at."""
        before = time.time() - self._settings.after_days * DAY_S
        await self._until_idle()
        wanted = await self._write(lambda database: database.digests.wanted(before, limit=AT_ONCE))
        for space, session in wanted:
            await self._digest(space, session)
        return len(wanted)

    async def _digest(self, space: int, session: str) -> None:
        sources = await self._write(lambda database: database.digests.sources(space, session))
        parts = parts_of([source for source in sources if not source.superseded])
        text = await self._text_of(parts) if parts else ""
        written = await self._write(lambda database: database.write_digest(space, session, sources, text))
        log.info("digest_made", turns=len(sources), sentences=len(parts), characters=len(text), written=written)

    async def _text_of(self, parts: Sequence[Part]) -> str:
        """By the model where there is one that can be asked now, or else of the sentences themselves."""
        chosen = await self._chosen(parts)
        models, model = self._models, self._settings.model
        if models is None or not model:
            return chosen
        try:
            await self._until_idle()
            return await write_by_model(parts, chosen, models=models, model=model)
        except HoshikageError as error:
            log.info("digest_of_sentences", model=model, reason=str(error))
            return chosen

    async def _chosen(self, parts: Sequence[Part]) -> str:
        texts = [part.text for part in parts]
        vectors = await self._vectors_of(texts)
        if vectors is None:
            vectors = await asyncio.to_thread(vectors_by_words, texts)
        return await asyncio.to_thread(digest_of, parts, vectors, self._settings)

    async def _vectors_of(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """By the embedder, a few at a time; `None` without one, or where it fails."""
        embedder = self._embedder()
        if embedder is None:
            return None
        found = []
        try:
            for begin in range(0, len(texts), BATCH):
                await self._until_idle()
                found.append(await vectors_of(embedder, texts[begin : begin + BATCH], "document"))
        except HoshikageError as error:
            log.info("digest_by_words", embedder=embedder.name, reason=str(error))
            return None
        return np.concatenate(found)

    async def _until_idle(self) -> None:
        """Wait until nobody asks the server anything."""
        models = self._models
        if models is None:
            return
        status = models.status()
        while status.running or status.waiting:
            await asyncio.sleep(IDLE_POLL_S)
            status = models.status()
