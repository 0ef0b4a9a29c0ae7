"""The life of registered models: created, copied, deleted, with the blobs that belong to them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec

import structlog

from hoshikage.core.creation import (
    architecture_of,
    check_adapters,
    check_files,
    compose,
    entry_of,
    files_of,
    used_files,
)
from hoshikage.core.errors import (
    HoshikageError,
    InvalidRequest,
    ModelFileError,
    ModelNotFound,
    NotSupported,
    StorageRefused,
)
from hoshikage.core.gguf import missing_parts, read_file, read_header
from hoshikage.core.gotemplate import effective_template
from hoshikage.core.names import check_name, name_key
from hoshikage.core.split_links import SplitLinks
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from hoshikage.core.blobs import BlobStore
    from hoshikage.core.catalog import Catalog
    from hoshikage.core.creation import NewFiles, NewModel
    from hoshikage.core.gguf import DigestCache
    from hoshikage.core.registry import ModelEntry, Registry

log = structlog.get_logger(__name__)

TIDY_INTERVAL_S: Final = 3600.0

# What people write after FROM besides the name of a model.
_FILE: Final = re.compile(r"[/~.@\\]|sha256[:-]|.*\.gguf\Z", re.IGNORECASE)

P = ParamSpec("P")


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
            ModelFileError: a blob is no GGUF, the parts of a model do not belong together, or the base has lost a file.
            ModelNotFound: there is no model of the name `base`.
            RegistryError: the registry cannot be read or written.
            StorageRefused: there is no room for the links to the parts of a model.
        """
        name = check_name(wanted.name)
        await asyncio.to_thread(_check, wanted)  # a long template takes a while
        base = self._base(wanted.base) if wanted.base else None
        files = await asyncio.to_thread(files_of, wanted, self._blobs)
        check_files(files, has_base=base is not None)
        if files.adapters:
            check_adapters(files, await asyncio.to_thread(self._architecture, base, files))
        entry = compose(wanted, base, files, links=self._links)
        if wanted.base:
            yield f"using existing model {wanted.base}"
        for blob in files.blobs():
            yield f"using existing layer sha256:{blob.digest}"
        yield "writing manifest"
        await self._change(self._commit, name, entry, files)
        yield "success"

    async def copy(self, source: str, destination: str) -> None:
        """Give a model another name besides; who has that name already is replaced. Its own name changes nothing.

        Raises:
            ModelNotFound: there is no model of the name `source`.
            InvalidRequest: the name `destination` is not allowed.
            RegistryError: the registry cannot be read or written.
        """
        check_name(destination)
        record = self._catalog.model(source)
        if name_key(source) == name_key(destination):
            return
        if self.entry(record.name) is None:  # a plug-in offers it, so nothing is written down yet
            await self._change(self._registry.put, destination, entry_of(record), settle=self.settle)
        else:
            await self._change(self._registry.copy, source, destination, settle=self.settle)

    async def delete(self, name: str) -> None:
        """Forget a model, and delete the blobs that only it names. A file that was registered where it lies stays.

        Raises:
            ModelNotFound: there is no model of this name.
            NotSupported: a plug-in offers it, so it is not the registry's to forget.
            RegistryError: the registry cannot be read or written.
        """
        try:
            await self._change(self._registry.remove, name, settle=self.settle)
        except ModelNotFound:
            record = self._catalog.model(name)
            raise NotSupported(
                f"model {record.name!r} is not registered but offered by a plug-in; take it away there: "
                f"{record.file or f'the engine {record.engine}'}",
                param="model",
            ) from None

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

    async def _change(self, act: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Change the registry, and say so; both happen even if whoever asked goes away meanwhile."""
        try:
            await finish_in_thread(act, *args, **kwargs)
        except asyncio.CancelledError:
            await self._changed()
            raise
        await self._changed()

    def _base(self, name: str) -> ModelEntry:
        try:
            record = self._catalog.model(name)
        except ModelNotFound as error:
            if _FILE.match(name):
                raise InvalidRequest(
                    f"from: {name[:80]!r} is a file, and from takes the name of a model; send the content to "
                    "POST /api/blobs/sha256:<its digest>, and name that digest in files",
                    param="from",
                ) from error
            raise
        return self.entry(record.name) or entry_of(record)

    def _architecture(self, base: ModelEntry | None, files: NewFiles) -> str:
        """That of the model that the adapters are for; empty where its file does not say, which ends otherwise."""
        if base is None or not base.model:
            return files.models[0].architecture if files.models else ""
        try:
            return architecture_of(read_file(self._registry.file_of(base)))
        except ModelFileError:
            return ""

    def _commit(self, name: str, entry: ModelEntry, files: NewFiles) -> None:
        def still_here() -> None:
            """Under the lock, because somebody may have deleted the model that the files belonged to."""
            for blob in files.blobs():
                if not self._blobs.has(f"sha256:{blob.digest}"):
                    raise InvalidRequest(f"the blob sha256:{blob.digest} is gone; send it again", param="files")
            if files.is_split():
                self._link(files)
            self._refuse_missing(entry)

        self._digests.put_all({blob.file: blob.digest for blob in files.models})
        self._registry.put(name, entry, check=still_here, settle=self.settle)

    def _link(self, files: NewFiles) -> None:
        """Make the parts of a split model one, if they are."""
        first = self._links.first(files.models)
        try:
            self._links.make(files.models)
            read_header(first)
        except OSError as error:
            raise StorageRefused(f"{first.parent} cannot be written: {error.strerror}; make room there") from error
        except ModelFileError as error:
            with _told("links_not_deleted"):
                self._links.remove(str(first.parent))
            # The names of the links say nothing to the client, but their numbers do.
            reason = error.message.replace(f"{first.parent}/", "")
            raise ModelFileError(f"files: the parts are not those of one model: {reason}", param="files") from error

    def _refuse_missing(self, entry: ModelEntry) -> None:
        """A model whose file is gone gives no other one its file."""
        adapters = entry.options.get("adapters")
        files = [self._registry.file_of(entry)] if entry.model else []
        files += [Path(file) for file in adapters.values()] if isinstance(adapters, dict) else []
        for file in files:
            if not _is_there(file):
                raise ModelFileError(
                    f"from: {file}, a file of model {entry.parent!r}, is not there; bring it back, or name another "
                    "model",
                    param="from",
                )


def _check(wanted: NewModel) -> None:
    """What can be said without looking at any file."""
    if bool(wanted.base) == bool(wanted.files):
        problem = "send one of from and files" + (", not both" if wanted.base else ": a model, or its blobs")
        raise InvalidRequest(problem, param="from")
    if wanted.template:
        effective_template(wanted.template)


def _is_there(file: Path) -> bool:
    try:
        return not missing_parts(file)
    except OSError:  # its folder is closed to us
        return False


@contextlib.contextmanager
def _told(event: str) -> Iterator[None]:
    """The model is gone by then, so what fails is only said; the next tidying up tries again."""
    try:
        yield
    except (HoshikageError, OSError) as error:
        log.warning(event, reason=str(error))
