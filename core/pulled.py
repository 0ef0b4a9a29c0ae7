"""Registering what was pulled: the entry of a model that is here, and whom it may replace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hoshikage.core.blobs import digest_in_name
from hoshikage.core.creation import SOURCE
from hoshikage.core.errors import DownloadFailed, InvalidRequest, ModelFileError
from hoshikage.core.gguf import facts_of, read_file, read_header
from hoshikage.core.names import name_key
from hoshikage.core.parameters import ADAPTERS, usable_parameters
from hoshikage.core.registry import ModelEntry, OpeningMessage
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from hoshikage.core.contracts import Downloaded
    from hoshikage.core.gguf import DigestCache
    from hoshikage.core.registry import Registry, Settle


class PulledModels:
    """Writes pulled models into the registry, each whole or not at all.

    Args:
        registry: where models are written down.
        digests: told of the digests, so that nothing is read twice.
        settle: lets go of what belonged to an entry that was replaced; see `ModelStore.settle`.
        changed: called after each change.
    """

    def __init__(
        self, *, registry: Registry, digests: DigestCache, settle: Settle, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._registry = registry
        self._digests = digests
        self._settle = settle
        self._changed = changed

    def check(self, name: str) -> None:
        """Say no to a name that no pull could get, before anything costly is done for it.

        Raises:
            InvalidRequest: a model that was not pulled has it.
        """
        entry = self._entry(name)
        if entry is not None and not _was_pulled(entry):
            raise _taken(name, entry)

    async def verify(self, found: Downloaded) -> tuple[Path, ...]:
        """Look at the headers of all files, so that a damaged or hostile one gets no name. Returns the adapters.

        Raises:
            ModelFileError: one is no valid GGUF.
        """
        return await finish_in_thread(_adapters, found)

    async def put(self, name: str, found: Downloaded, adapters: Sequence[Path]) -> None:
        """Register a model, in place of what came from the same source before.

        Raises:
            InvalidRequest: the name belongs to a model from elsewhere.
            DownloadFailed: somebody deleted a file meanwhile.
            RegistryError: the registry cannot be read or written.
        """
        try:
            await finish_in_thread(self._put, name, found, adapters)
        except asyncio.CancelledError:  # by then it may stand in the registry
            await self._changed()
            raise
        await self._changed()

    # --- inside ---

    def _put(self, name: str, found: Downloaded, adapters: Sequence[Path]) -> None:
        def check() -> None:
            """Under the lock, as another model that had a file too may just have been deleted with it."""
            entry = self._entry(name)
            if entry is not None and not (_was_pulled(entry) and entry.source == found.source):
                raise _taken(name, entry)
            for file in {found.file, *found.owned}:
                if not file.is_file():
                    raise DownloadFailed(f"{file.name} was deleted while the model was pulled; pull it again")

        self._digests.put_all(digests_of(found))
        self._registry.put(name, entry_of_pulled(found, adapters), check=check, settle=self._settle)

    def _entry(self, name: str) -> ModelEntry | None:
        key = name_key(name)
        return next((e for n, e in self._registry.entries().items() if name_key(n) == key), None)


def digests_of(found: Downloaded) -> dict[Path, str]:
    """The digests of all files of a model, so that none is read for them: those of blobs are their names."""
    named = {file: digest_in_name(file) for file in found.owned}
    return {**{file: digest for file, digest in named.items() if digest}, found.file: found.digest}


def entry_of_pulled(found: Downloaded, adapters: Sequence[Path] = ()) -> ModelEntry:
    """The entry of a model that is here; its adapters are always used. Parameters that make no sense are left out."""
    parameters = usable_parameters(found.parameters, found.name)
    options: dict[str, Any] = {}
    if adapters:
        named = {f"adapter-{number}": str(file) for number, file in enumerate(adapters, start=1)}
        options[ADAPTERS] = named
        parameters[ADAPTERS] = list(named)
    return ModelEntry(
        path=str(found.file.parent),
        model=found.file.name,
        stop=(),
        options=options,
        template=found.template,
        system=found.system,
        parameters=parameters,
        messages=tuple(OpeningMessage(m.role, m.content) for m in found.messages),
        license=found.license,
        source=found.source,
        owned=tuple(file.name for file in found.owned),
    )


def _adapters(found: Downloaded) -> tuple[Path, ...]:
    """Those of the files that are adapters, by what their headers say."""
    header = read_header(found.file)
    if header.metadata.get("general.type", "model") != "model":
        raise ModelFileError(f"{found.name} is no model but of the type {header.metadata['general.type']!r}")
    facts_of(header)
    others = [(file, read_file(file)) for file in found.owned if file != found.file]
    return tuple(file for file, header in others if header.metadata.get("general.type") == "adapter")


def _was_pulled(entry: ModelEntry) -> bool:
    """Whether it is what a pull made: no file that somebody added, no model made of files or of another model."""
    return entry.source not in {"", SOURCE} and not entry.parent


def _taken(name: str, entry: ModelEntry) -> InvalidRequest:
    return InvalidRequest(
        f"the name {name!r} is taken by {entry.path}/{entry.model}"
        f"{f' from {entry.source}' if entry.source else ''}; choose another name with --name, or run "
        f"`hoshikage rm {name}` first",
        param="model",
    )
