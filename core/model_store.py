"""The life of registered models: created, copied, deleted, with the blobs that belong to them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.creation import check_files, compose, entry_of, files_of, used_files
from hoshikage.core.errors import HoshikageError, InvalidRequest, ModelNotFound, NotSupported
from hoshikage.core.gotemplate import effective_template
from hoshikage.core.names import check_name, name_key
from hoshikage.core.parameters import check_parameters
from hoshikage.core.split_links import SplitLinks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from hoshikage.core.blobs import BlobStore
    from hoshikage.core.catalog import Catalog
    from hoshikage.core.creation import NewFiles, NewModel
    from hoshikage.core.gguf import DigestCache
    from hoshikage.core.registry import ModelEntry, Registry

log = structlog.get_logger(__name__)

TIDY_INTERVAL_S: Final = 3600.0


class ModelStore:
    """Changes what models there are. Weights are never copied: new models name files that are here already.

    Every change is one atomic write of the registry; blobs go under the registry's lock, when no entry names them.

    Args:
        registry: where models are written down.
        catalog: finds models that a new one is made from, those of plug-ins included.
        blobs: what clients have sent.
        digests: told of the digests of blobs, so that nothing is read twice.
        links: a folder for the parts of split models, under the names by which they find each other.
        changed: called after each change.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        catalog: Catalog,
        blobs: BlobStore,
        digests: DigestCache,
        links: Path,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._blobs = blobs
        self._digests = digests
        self._links = SplitLinks(links)
        self._changed = changed

    def entry(self, name: str) -> ModelEntry | None:
        """What is written down of a model; `None` where it is not registered, as models of plug-ins are not."""
        key = name_key(name)
        return next((e for n, e in self._registry.entries().items() if name_key(n) == key), None)

    async def create(self, wanted: NewModel) -> AsyncGenerator[str, None]:
        """Register a model made of another one or of blobs. Yields what is done, in Ollama's words, `success` last.

        Nothing is yielded before everything that was asked for has been checked.

        Raises:
            InvalidRequest: a field makes no sense, or a blob is not here.
            ModelFileError: a blob is no GGUF.
            ModelNotFound: there is no model of the name `base`.
            RegistryError: the registry cannot be read or written.
        """
        name = check_name(wanted.name)
        await asyncio.to_thread(_check, wanted)  # a long template takes a while
        base = self._base(wanted.base) if wanted.base else None
        files = await asyncio.to_thread(files_of, wanted, self._blobs)
        check_files(files, has_base=base is not None)
        if wanted.base:
            yield f"using existing model {wanted.base}"
        for blob in files.blobs():
            yield f"using existing layer sha256:{blob.digest}"
        entry = compose(wanted, base, files, links=self._links)
        yield "writing manifest"
        await asyncio.to_thread(self._commit, name, entry, files)
        await self._changed()
        yield "success"

    async def copy(self, source: str, destination: str) -> None:
        """Give a model another name besides; who has that name already is replaced.

        Raises:
            ModelNotFound: there is no model of the name `source`.
            InvalidRequest: the name `destination` is not allowed.
            RegistryError: the registry cannot be read or written.
        """
        check_name(destination)
        record = self._catalog.model(source)
        try:
            await asyncio.to_thread(self._registry.copy, source, destination, settle=self.settle)
        except ModelNotFound:  # a plug-in offers it, so nothing is written down yet
            await asyncio.to_thread(self._registry.put, destination, entry_of(record), settle=self.settle)
        await self._changed()

    async def delete(self, name: str) -> None:
        """Forget a model, and delete the blobs that only it names. A file that was registered where it lies stays.

        Raises:
            ModelNotFound: there is no model of this name.
            NotSupported: a plug-in offers it, so it is not the registry's to forget.
            RegistryError: the registry cannot be read or written.
        """
        try:
            await asyncio.to_thread(self._registry.remove, name, settle=self.settle)
        except ModelNotFound:
            record = self._catalog.model(name)
            raise NotSupported(
                f"model {record.name!r} is not registered but offered by a plug-in; take it away there: "
                f"{record.file or f'the engine {record.engine}'}",
                param="model",
            ) from None
        await self._changed()

    async def has_blob(self, digest: str) -> bool:
        """Whether a blob is here; see `BlobStore.has`."""
        return await asyncio.to_thread(self._blobs.has, digest)

    async def take_blob(self, digest: str, chunks: AsyncIterator[bytes], *, size_bytes: int = 0) -> bool:
        """Store a blob; see `BlobStore.take`."""
        return await self._blobs.take(digest, chunks, size_bytes=size_bytes)

    async def keep_tidy(self) -> None:
        """Now and then delete the blobs of models that were never created; ends when it is cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.prune)
            except HoshikageError as error:
                log.warning("blobs_not_pruned", reason=error.message)
            await asyncio.sleep(TIDY_INTERVAL_S)

    def prune(self) -> None:
        """Delete blobs that no model names, once they are a day old."""

        def act(entries: Sequence[ModelEntry]) -> None:
            gone = self._blobs.prune(used_files(entries))
            if gone:
                log.info("blobs_pruned", count=len(gone))

        self._registry.while_locked(act)

    def settle(self, gone: ModelEntry, left: Sequence[ModelEntry]) -> None:
        """Delete what belonged to an entry that is gone and to nobody else; call it under the registry's lock."""
        free = used_files([gone], owned_only=True) - used_files(left)
        for digest in sorted(free):
            with _told("blob_not_deleted"):
                self._blobs.remove(digest)
        if all(entry.path != gone.path for entry in left):
            with _told("links_not_deleted"):
                self._links.remove(gone.path)

    # --- inside ---

    def _base(self, name: str) -> ModelEntry:
        record = self._catalog.model(name)
        return self.entry(record.name) or entry_of(record)

    def _commit(self, name: str, entry: ModelEntry, files: NewFiles) -> None:
        def still_here() -> None:
            """Under the lock, because somebody may have deleted the model that the files belonged to."""
            for blob in files.blobs():
                if not self._blobs.has(f"sha256:{blob.digest}"):
                    raise InvalidRequest(f"the blob sha256:{blob.digest} is gone; send it again", param="files")
            if files.is_split():
                self._links.make(files.models)

        self._digests.put_all({blob.file: blob.digest for blob in files.models})
        self._registry.put(name, entry, check=still_here, settle=self.settle)


def _check(wanted: NewModel) -> None:
    """What can be said without looking at any file."""
    if bool(wanted.base) == bool(wanted.files):
        problem = "send one of from and files" + (", not both" if wanted.base else ": a model, or its blobs")
        raise InvalidRequest(problem, param="from")
    if wanted.template:
        effective_template(wanted.template)
    check_parameters(wanted.parameters or {})


@contextlib.contextmanager
def _told(event: str) -> Iterator[None]:
    """The model is gone by then, so what fails is only said; the next tidying up tries again."""
    try:
        yield
    except (HoshikageError, OSError) as error:
        log.warning(event, reason=str(error))
