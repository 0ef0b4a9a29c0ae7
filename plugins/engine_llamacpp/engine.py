"""The engine for GGUF files: what it supports, what a file says, and how a model is loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hoshikage import LoadPlan, MemoryNeed
from hoshikage.core.errors import ModelFileError, ModelLoadFailed
from hoshikage.core.gguf import facts_of, read_header
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.model import LlamaCppModel
from hoshikage.plugins.engine_llamacpp.replay import Quarantine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings, PrefixCacheSettings
from hoshikage.plugins.engine_llamacpp.spares import Spares

if TYPE_CHECKING:
    from hoshikage import LoadedModel, ModelFacts, ModelRecord
    from hoshikage.core.gguf import GgufHeader
    from hoshikage.plugins.engine_llamacpp.state_places import StatePlaces

AS_SET = LoadPlan()
MAX_HEADERS = 64


class LlamaCppEngine:
    """Loads GGUF files, each into a worker process of its own.

    Args:
        places: where conversations are saved; `None` saves none.
    """

    name = "llamacpp"

    def __init__(
        self,
        settings: LlamaCppSettings,
        prefix_cache: PrefixCacheSettings | None = None,
        places: StatePlaces | None = None,
    ) -> None:
        self._settings = settings
        self._prefix_cache = prefix_cache or PrefixCacheSettings()
        self._places = places
        self._spares = Spares(settings.spare_workers)
        self._quarantine = Quarantine()
        self._fast_folders: set[Path] = set()
        self._headers: dict[tuple[object, ...], GgufHeader] = {}

    def supports(self, record: ModelRecord) -> bool:
        """Every model with a file: the registry takes GGUF only."""
        return record.file is not None

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """See `Engine.facts`."""
        return facts_of(await self._header(record))

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        """See `Engine.estimate`."""
        del context_length
        return MemoryNeed(weights_bytes=record.size_bytes)

    async def load(self, record: ModelRecord, plan: LoadPlan = AS_SET) -> LoadedModel:
        """Check the header with our own reader first: nothing native sees a damaged file."""
        try:
            await self._header(record)
        except ModelFileError as error:
            raise ModelLoadFailed(f"model {record.name!r} cannot be loaded: {error.message}") from error
        scope = self._prefix_cache.scope
        init = init_frame(record, self._settings, plan=plan, reuses_prefixes=scope != "off")
        if self._places is not None and scope != "off":
            self._fast_folders.update(plan.state_folders)
            init = msgspec.structs.replace(init, state=self._places.store(record, init, plan.state_folders))
        try:
            return await LlamaCppModel.start(
                record.name, init, spares=self._spares, quarantine=self._quarantine, scoped=scope == "caller"
            )
        except ModelLoadFailed as error:
            raise type(error)(f"{error.message} (file: {record.file})") from error

    async def close(self) -> None:
        """End spare workers, and bring what was saved on the RAM disk to the disk."""
        await self._spares.close()
        if self._places is not None:
            await self._places.move_to_disk(self._fast_folders)

    async def _header(self, record: ModelRecord) -> GgufHeader:
        """Read once per version of the file, off the event loop: a big vocabulary takes tens of milliseconds."""
        if record.file is None:
            raise ModelFileError(f"model {record.name!r} has no file")
        key = _version_of(record.file)
        if key not in self._headers:
            header = await asyncio.to_thread(read_header, record.file)
            while len(self._headers) >= MAX_HEADERS:
                del self._headers[next(iter(self._headers))]
            self._headers[key] = header
        return self._headers[key]


def _version_of(file: Path) -> tuple[object, ...]:
    try:
        stat = file.stat()
    except OSError:
        return (file,)
    return (file, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def init_frame(
    record: ModelRecord, settings: LlamaCppSettings, *, plan: LoadPlan = AS_SET, reuses_prefixes: bool = True
) -> frames.Init:
    """The settings, overlaid with the model's own options, and the plan. Relative files are beside the model's file.

    Raises:
        ModelLoadFailed: an option is unknown or has a value that is not allowed.
    """
    merged = {**dataclasses.asdict(settings), **record.options}
    unknown = merged.keys() - dataclasses.asdict(settings).keys()
    if unknown:
        raise ModelLoadFailed(
            f"model {record.name!r} has an unknown option {min(unknown)!r}; "
            f"llamacpp knows: {', '.join(dataclasses.asdict(settings))}"
        )
    try:
        checked = msgspec.convert(merged, LlamaCppSettings)
    except msgspec.ValidationError as error:
        raise ModelLoadFailed(f"model {record.name!r} has a bad option: {error}") from error
    values = dataclasses.asdict(checked)
    values["n_threads"] = values["n_threads"] or usable_cores()
    values["tensor_split"] = list(checked.tensor_split)
    values["draft_model"] = _beside(record, checked.draft_model) if checked.draft_model else ""
    values["adapters"] = {name: _beside(record, file) for name, file in checked.adapters.items()}
    del values["spare_workers"]  # no business of a worker's
    if values["n_ctx"]:
        values["n_ctx"] = max(values["n_ctx"], plan.context_length)
    path = str(plan.file or record.file)
    return frames.Init(path=path, reuses_prefixes=reuses_prefixes, chat_template=record.template, **values)


def _beside(record: ModelRecord, name: str) -> str:
    """The file that a model's option names.

    Raises:
        ModelLoadFailed: there is no such file.
    """
    file = (record.file.parent if record.file else Path()) / Path(name).expanduser()
    if not file.is_file():
        raise ModelLoadFailed(
            f"model {record.name!r} cannot be loaded: its option names {str(file)!r}, which is no file"
        )
    return str(file)


def usable_cores() -> int:
    """The cores that this process may run on: a container or `taskset` may have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
