"""The engine for GGUF files: what it supports, what a file says, and how a model is loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from hoshikage import LoadPlan, MemoryNeed
from hoshikage.core.errors import ModelFileError, ModelLoadFailed
from hoshikage.core.gguf import facts_of, parts_of, read_header
from hoshikage.core.vram import gpu_memory
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.fingerprint import fingerprint_of
from hoshikage.plugins.engine_llamacpp.footprint import corrected, footprint
from hoshikage.plugins.engine_llamacpp.machine import this_machine
from hoshikage.plugins.engine_llamacpp.measured import key_of
from hoshikage.plugins.engine_llamacpp.model import LlamaCppModel
from hoshikage.plugins.engine_llamacpp.replay import Quarantine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings, PrefixCacheSettings
from hoshikage.plugins.engine_llamacpp.spares import Spares

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage import LoadedModel, ModelFacts, ModelRecord
    from hoshikage.core.gguf import GgufHeader
    from hoshikage.plugins.engine_llamacpp.footprint import Footprint
    from hoshikage.plugins.engine_llamacpp.measured import MeasuredNeeds
    from hoshikage.plugins.engine_llamacpp.model import Weigh
    from hoshikage.plugins.engine_llamacpp.state_places import StatePlaces
    from hoshikage.plugins.engine_llamacpp.usage import Usage

T = TypeVar("T")
AS_SET = LoadPlan()
MAX_KNOWN = 64  # files


class LlamaCppEngine:
    """Loads GGUF files, each into a worker process of its own.

    Args:
        places: where conversations are saved; `None` saves none.
        measured: what earlier loads took; `None` remembers nothing.
    """

    name = "llamacpp"

    def __init__(
        self,
        settings: LlamaCppSettings,
        prefix_cache: PrefixCacheSettings | None = None,
        places: StatePlaces | None = None,
        measured: MeasuredNeeds | None = None,
    ) -> None:
        self._settings = settings
        self._prefix_cache = prefix_cache or PrefixCacheSettings()
        self._places = places
        self._measured = measured
        self._remembering: set[asyncio.Task[None]] = set()
        self._machine = this_machine(has_nvidia=bool(gpu_memory()))
        self._spares = Spares(settings.spare_workers)
        self._quarantine = Quarantine()
        self._fast_folders: set[Path] = set()
        self._headers: dict[tuple[object, ...], GgufHeader] = {}
        self._fingerprints: dict[tuple[object, ...], str] = {}

    def supports(self, record: ModelRecord) -> bool:
        """Every model with a file: the registry takes GGUF only."""
        return record.file is not None

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """See `Engine.facts`."""
        return facts_of(await self._header(record))

    async def estimate(self, record: ModelRecord, context_length: int = 0) -> MemoryNeed:
        """What an earlier load of the same kind took, or else what the header lets expect."""
        settings = effective_settings(record, self._settings)
        n_ctx = _context(settings, context_length)
        seen = self._measured.get(self._key(record, settings, n_ctx)) if self._measured is not None else None
        return seen or (await self._predicted(record, settings, n_ctx)).need

    async def _predicted(self, record: ModelRecord, settings: LlamaCppSettings, n_ctx: int) -> Footprint:
        return (await self._predict(record, settings))(n_ctx)

    async def _predict(self, record: ModelRecord, settings: LlamaCppSettings) -> Callable[[int], Footprint]:
        """What a load takes, by the length of its context; all files are read by then."""
        draft = await self._header_of(Path(_beside(record, settings.draft_model))) if settings.draft_model else None
        adapters = _adapter_bytes(record, settings)
        header = await self._header(record)
        return lambda n_ctx: footprint(
            header, settings, self._machine, context_length=n_ctx, draft=draft, adapter_bytes=adapters
        )

    def _key(self, record: ModelRecord, settings: LlamaCppSettings, n_ctx: int) -> str:
        return key_of(record, settings, context_length=n_ctx, has_gpu=self._machine.has_gpu)

    async def load(self, record: ModelRecord, plan: LoadPlan = AS_SET) -> LoadedModel:
        """Check the header with our own reader first: nothing native sees a damaged file."""
        try:
            await self._header(record)
        except ModelFileError as error:
            raise ModelLoadFailed(f"model {record.name!r} cannot be loaded: {error.message}") from error
        scope = self._prefix_cache.scope
        settings = effective_settings(record, self._settings)
        init = init_frame(record, self._settings, plan=plan, reuses_prefixes=scope != "off")
        weigh = await self._scales(record, settings)
        if self._places is not None and scope != "off":
            self._fast_folders.update(plan.state_folders)
            store = self._places.store(await self._fingerprint(record, plan), init, plan.state_folders)
            init = msgspec.structs.replace(init, state=store)
        try:
            return await LlamaCppModel.start(
                record.name,
                init,
                spares=self._spares,
                quarantine=self._quarantine,
                scoped=scope == "caller",
                weigh=weigh,
            )
        except ModelLoadFailed as error:
            raise type(error)(f"{error.message} (file: {record.file})") from error

    async def _scales(self, record: ModelRecord, settings: LlamaCppSettings) -> Weigh:
        """What a worker measures, completed by what is predicted, and remembered for the next load."""
        predict = await self._predict(record, settings)

        def weigh(usage: Usage, n_ctx: int) -> MemoryNeed:
            need = corrected(predict(n_ctx), usage)
            self._remember(self._key(record, settings, n_ctx), need)
            return need

        return weigh

    def _remember(self, key: str, need: MemoryNeed) -> None:
        """Write down what a load took, off the event loop: nobody waits for the disk."""
        if self._measured is None:
            return
        task = asyncio.create_task(asyncio.to_thread(self._measured.put, key, need), name="remember a load")
        self._remembering.add(task)
        task.add_done_callback(self._remembering.discard)

    async def close(self) -> None:
        """End spare workers, and bring what was saved on the RAM disk to the disk."""
        await self._spares.close()
        await asyncio.gather(*self._remembering, return_exceptions=True)
        if self._places is not None:
            await self._places.move_to_disk(self._fast_folders)

    async def _fingerprint(self, record: ModelRecord, plan: LoadPlan) -> str:
        """Computed once per version of the file, from its copy where there is one."""
        assert record.file is not None
        key = _version_of(record.file)
        if key not in self._fingerprints:
            _forget_oldest(self._fingerprints)
            try:
                self._fingerprints[key] = await asyncio.to_thread(fingerprint_of, plan.file or record.file)
            except OSError as error:
                raise ModelLoadFailed(
                    f"model {record.name!r} cannot be loaded: {error.filename} cannot be read: {error.strerror}"
                ) from error
        return self._fingerprints[key]

    async def _header(self, record: ModelRecord) -> GgufHeader:
        """Read once per version of the file, off the event loop: a big vocabulary takes tens of milliseconds."""
        if record.file is None:
            raise ModelFileError(f"model {record.name!r} has no file")
        return await self._header_of(record.file)

    async def _header_of(self, file: Path) -> GgufHeader:
        key = _version_of(file)
        if key not in self._headers:
            header = await asyncio.to_thread(read_header, file)
            _forget_oldest(self._headers)
            self._headers[key] = header
        return self._headers[key]


def _forget_oldest(known: dict[tuple[object, ...], T]) -> None:
    while len(known) >= MAX_KNOWN:
        del known[next(iter(known))]


def _version_of(file: Path) -> tuple[object, ...]:
    """What changes when any part of a model does."""
    try:
        stats = [part.stat() for part in parts_of(file)]
    except OSError:
        return (file,)
    return (file, *((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats))


def effective_settings(record: ModelRecord, settings: LlamaCppSettings) -> LlamaCppSettings:
    """The settings, overlaid with the model's own options.

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
        return msgspec.convert(merged, LlamaCppSettings)
    except msgspec.ValidationError as error:
        raise ModelLoadFailed(f"model {record.name!r} has a bad option: {error}") from error


def init_frame(
    record: ModelRecord, settings: LlamaCppSettings, *, plan: LoadPlan = AS_SET, reuses_prefixes: bool = True
) -> frames.Init:
    """What a worker is told. Relative files of the model's options are beside the model's file.

    Raises:
        ModelLoadFailed: see `effective_settings`; or an option names a file that is none.
    """
    checked = effective_settings(record, settings)
    values = dataclasses.asdict(checked)
    values["n_threads"] = values["n_threads"] or usable_cores()
    values["tensor_split"] = list(checked.tensor_split)
    values["draft_model"] = _beside(record, checked.draft_model) if checked.draft_model else ""
    values["adapters"] = {name: _beside(record, file) for name, file in checked.adapters.items()}
    values["n_ctx"] = _context(checked, plan.context_length)
    del values["spare_workers"]  # no business of a worker's
    path = str(plan.file or record.file)
    return frames.Init(path=path, reuses_prefixes=reuses_prefixes, chat_template=record.template, **values)


def _adapter_bytes(record: ModelRecord, settings: LlamaCppSettings) -> int:
    return sum(Path(_beside(record, file)).stat().st_size for file in settings.adapters.values())


def _context(settings: LlamaCppSettings, wanted: int) -> int:
    """The context to make: what the settings say or what is wanted, if that is more; 0 is as long as the model can."""
    return max(settings.n_ctx, wanted) if settings.n_ctx else 0


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
