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
from hoshikage.plugins.engine_llamacpp.process import LlamaCppModel
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings, PrefixCacheSettings

if TYPE_CHECKING:
    from hoshikage import LoadedModel, ModelFacts, ModelRecord

AS_SET = LoadPlan()


class LlamaCppEngine:
    """Loads GGUF files, each into a worker process of its own."""

    name = "llamacpp"

    def __init__(self, settings: LlamaCppSettings, prefix_cache: PrefixCacheSettings | None = None) -> None:
        self._settings = settings
        self._prefix_cache = prefix_cache or PrefixCacheSettings()

    def supports(self, record: ModelRecord) -> bool:
        """Every model with a file: the registry takes GGUF only."""
        return record.file is not None

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """Read the header, off the event loop: a big vocabulary takes tens of milliseconds."""
        if record.file is None:
            raise ModelFileError(f"model {record.name!r} has no file")
        header = await asyncio.to_thread(read_header, record.file)
        return facts_of(header)

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        """See `Engine.estimate`."""
        del context_length
        return MemoryNeed(weights_bytes=record.size_bytes)

    async def load(self, record: ModelRecord, plan: LoadPlan = AS_SET) -> LoadedModel:
        """Check the header with our own reader first: nothing native sees a damaged file."""
        try:
            await self.facts(record)
        except ModelFileError as error:
            raise ModelLoadFailed(f"model {record.name!r} cannot be loaded: {error.message}") from error
        scope = self._prefix_cache.scope
        init = init_frame(record, self._settings, reuses_prefixes=scope != "off")
        try:
            return await LlamaCppModel.start(record.name, init, scoped=scope == "caller")
        except ModelLoadFailed as error:
            raise type(error)(f"{error.message} (file: {record.file})") from error


def init_frame(record: ModelRecord, settings: LlamaCppSettings, *, reuses_prefixes: bool = True) -> frames.Init:
    """The settings, overlaid with the model's own options. Relative file names are beside the model's file.

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
    return frames.Init(path=str(record.file), reuses_prefixes=reuses_prefixes, **values)


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
