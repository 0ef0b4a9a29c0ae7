"""The kernel: builds the parts in order, starts and stops them, and is what routes talk to."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import platform
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.admission import Admission
from hoshikage.core.blobs import BlobStore
from hoshikage.core.budget import Budget
from hoshikage.core.capabilities import capabilities_of
from hoshikage.core.catalog import Catalog
from hoshikage.core.contracts import KernelStatus
from hoshikage.core.errors import HoshikageError, ModelFileError
from hoshikage.core.forecasting import Forecaster
from hoshikage.core.formats import choose_format
from hoshikage.core.gguf import DigestCache
from hoshikage.core.manager import PluginChoice, PluginManager
from hoshikage.core.model_store import ModelStore
from hoshikage.core.pins import Pins
from hoshikage.core.pipeline import Extensions, Pipeline
from hoshikage.core.pulled import PulledModels
from hoshikage.core.pulling import Pulls
from hoshikage.core.recall import model_by_name, switched_on
from hoshikage.core.receipts import ReceiptBook
from hoshikage.core.registry import Registry, RegistryFiles
from hoshikage.core.residence import Residence
from hoshikage.core.settings import (
    KERNEL_SECTIONS,
    AdmissionSettings,
    PluginSettings,
    ReceiptSettings,
    RegistrySettings,
    ResidencySettings,
)
from hoshikage.core.storage import Storage
from hoshikage.core.tags import write_tags
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from hoshikage.config.settings import Settings
    from hoshikage.core.contracts import (
        Caller,
        ChatRequest,
        DownloadProgress,
        Embeddings,
        EmbedRequest,
        Engine,
        LoadForecast,
        ModelFacts,
        ModelRecord,
        Receipt,
        RerankRequest,
        Scores,
        StreamEvent,
    )

log = structlog.get_logger(__name__)

RECONCILE_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Assembly:
    """What every command starts from: the plug-ins, the settings, and the registry and catalogue over them."""

    manager: PluginManager
    settings: Settings
    registry: Registry
    digests: DigestCache
    engines: Sequence[Engine]
    catalog: Catalog
    tags_lock: asyncio.Lock = field(default_factory=asyncio.Lock)


def load_plugins(environ: Mapping[str, str], *, safe_mode: bool = False) -> tuple[PluginManager, Settings]:
    """Find the plug-ins that the settings let in, then read the settings that they declare.

    Raises:
        ConfigError: a setting is not allowed.
        PluginError: an unknown hook, or two providers of one name.
    """
    project = Project.find(environ)
    first = load_settings(project, environ, KERNEL_SECTIONS)
    plugins = first.section(PluginSettings)
    choice = PluginChoice(
        enabled=frozenset(plugins.enabled),
        disabled=frozenset(plugins.disabled),
        safe_mode=safe_mode,
        folder=first.path(plugins.folder, default="plugins"),
    )
    manager = PluginManager.discover(choice)
    return manager, load_settings(project, environ, [*KERNEL_SECTIONS, *manager.setting_sections()])


def assemble(environ: Mapping[str, str] | None = None, *, safe_mode: bool = False) -> Assembly:
    """Build everything that needs no event loop. See `load_plugins` for the errors."""
    manager, settings = load_plugins(os.environ if environ is None else environ, safe_mode=safe_mode)
    files = settings.section(RegistrySettings)
    registry = Registry(
        RegistryFiles(
            settings.path(files.model_map_file, default="model_map.json"),
            settings.path(files.tags_cache_file, default="tags_cache.json"),
            settings.path(files.tags_ollama_file, default="tags_ollama.json"),
        ),
        settings.project,
    )
    digests = DigestCache(settings.data_dir / "digests.json")
    engines = manager.engines(settings)
    catalog = Catalog(registry=registry, sources=manager.model_sources(settings), engines=engines, digests=digests)
    return Assembly(manager, settings, registry, digests, engines, catalog)


class Kernel:
    """The running whole; implements `ServerApi`. Build it inside the event loop that it will live in."""

    def __init__(self, assembly: Assembly) -> None:
        self.settings = assembly.settings
        self.manager = assembly.manager
        self._assembly = assembly
        self._catalog = assembly.catalog
        self._started_at = time.time()
        self._started = time.monotonic()
        self._receipts = ReceiptBook(self.settings.section(ReceiptSettings).keep)
        residency = self.settings.section(ResidencySettings)
        self._preload = residency.preload
        self._storage = Storage(self.manager.stagers(self.settings))
        self._residence = Residence(
            residency,
            self._catalog,
            storage=self._storage,
            budget=Budget(residency),
            pins=Pins(self.settings.data_dir / "pins.json"),
        )
        self._forecaster = Forecaster(self._residence, self._storage)
        self._admission = Admission(self.settings.section(AdmissionSettings), self._residence)
        self._formats = self.manager.chat_formats(self.settings)
        self._embedders = self.manager.embedders(self.settings, self)
        self.memory = next(iter(self.manager.memory_stores(self.settings, self._embedders, self)), None)
        self._pipeline = Pipeline(
            extensions=Extensions(
                filters=self.manager.request_filters(self.settings),
                formats=self._formats,
                observers=self.manager.observers(self.settings),
                memory=self.memory,
            ),
            catalog=self._catalog,
            residence=self._residence,
            admission=self._admission,
            receipts=self._receipts,
        )
        self.store = store_of(assembly)
        self._pulls = pulls_of(assembly)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._preloading = bool(residency.preload)

    async def start(self) -> None:
        """Check the registry, and begin the housekeeping.

        Raises:
            RegistryError: the model map is corrupt.
        """
        self._assembly.registry.entries()
        await self._catalog.start()
        await self._storage.start()
        self._residence.recall_pins()
        if self.memory is not None:
            await self.memory.start()
        self._tasks = [
            asyncio.create_task(self._preload_models(), name="preload"),
            asyncio.create_task(self._reconcile(), name="reconcile"),
            asyncio.create_task(self._complete_catalog(), name="complete catalogue"),
            asyncio.create_task(self.store.keep_tidy(), name="tidy blobs"),
        ]

    async def stop(self) -> None:
        """Stop in the reverse order of the start; models are unloaded."""
        self._stopping = True
        await self.end_pulls()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._residence.stop()
        for engine in self._assembly.engines:
            await engine.close()
        await self._storage.stop()
        await self._catalog.stop()
        await self._pipeline.stop()
        if self.memory is not None:
            await self.memory.stop()
        for embedder in self._embedders:
            await embedder.close()

    async def end_pulls(self) -> None:
        """End downloads at once: they would hold up the drain, and nothing of them is lost. Idempotent."""
        await self._pulls.stop()

    # --- ServerApi ---

    def chat(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[StreamEvent, None]:
        """See `ServerApi.chat`."""
        record, with_memory = model_by_name(request.model, self._catalog.model)
        return self._pipeline.chat(request, record, switched_on(caller) if with_memory else caller)

    async def embed(self, request: EmbedRequest, caller: Caller) -> tuple[Embeddings, Receipt]:
        """See `ServerApi.embed`."""
        return await self._pipeline.embed(request, self.model(request.model), caller)

    async def rerank(self, request: RerankRequest, caller: Caller) -> tuple[Scores, Receipt]:
        """See `ServerApi.rerank`."""
        return await self._pipeline.rerank(request, self.model(request.model), caller)

    async def tokenize(self, model: str, text: str, *, special: bool, caller: Caller) -> tuple[int, ...]:
        """See `ServerApi.tokenize`."""
        del caller  # as for `load`
        return await self._pipeline.tokenize(text, self.model(model), special=special)

    async def detokenize(self, model: str, tokens: tuple[int, ...], *, caller: Caller) -> str:
        """See `ServerApi.detokenize`."""
        del caller  # as for `load`
        return await self._pipeline.detokenize(tokens, self.model(model))

    async def capabilities(self, record: ModelRecord) -> frozenset[str]:
        """See `ServerApi.capabilities`."""
        facts = await self._catalog.facts_or_none(record)
        return capabilities_of(facts, choose_format(self._formats, facts.chat_template))

    def models(self) -> Sequence[ModelRecord]:
        """See `ServerApi.models`."""
        return self._catalog.models()

    def model(self, name: str) -> ModelRecord:
        """See `ServerApi.model`."""
        return model_by_name(name, self._catalog.model)[0]

    async def facts(self, record: ModelRecord, *, strict: bool = False) -> ModelFacts:
        """See `ServerApi.facts`."""
        return await (self._catalog.facts(record) if strict else self._catalog.facts_or_none(record))

    def pull(self, reference: str, *, insecure: bool = False) -> AsyncGenerator[DownloadProgress, None]:
        """See `ServerApi.pull`."""
        return self._pulls.pull(reference, insecure=insecure)

    async def load(
        self, name: str, *, keep_alive_s: float | None, caller: Caller, context_length: int | None = None
    ) -> None:
        """See `ServerApi.load`."""
        del caller  # fairness between callers is a later concern
        record = self.model(name)
        await self._pipeline.load(record, keep_alive_s=keep_alive_s, context_length=context_length)

    async def unload(self, name: str) -> None:
        """See `ServerApi.unload`."""
        self._residence.ask_to_unload(self.model(name))

    async def stage(self, name: str) -> None:
        """See `ServerApi.stage`."""
        await self._storage.stage(self.model(name))

    async def unstage(self, name: str) -> bool:
        """See `ServerApi.unstage`."""
        return await self._storage.unstage(self.model(name))

    async def pin(self, name: str, *, pinned: bool) -> None:
        """See `ServerApi.pin`."""
        await self._residence.pin(self.model(name), pinned=pinned)

    async def forecast(self, name: str, *, context_length: int, parallel: int) -> LoadForecast:
        """See `ServerApi.forecast`."""
        return await self._forecaster.forecast(self.model(name), context_length, parallel)

    def status(self) -> KernelStatus:
        """See `ServerApi.status`."""
        return KernelStatus(
            started_at=self._started_at,
            uptime_s=time.monotonic() - self._started,
            running=self._admission.running,
            waiting=self._admission.waiting,
            loaded=self._residence.views(),
            staged=self._storage.views(),
            stage_space=self._storage.space(),
            memory=self._residence.memory(),
            preloading=self._preloading,
            versions=versions(),
        )

    def receipts(self) -> Sequence[Receipt]:
        """See `ServerApi.receipts`."""
        return self._receipts.newest()

    # --- housekeeping ---

    async def _preload_models(self) -> None:
        """Load what the settings name, one after another; one that cannot be loaded is said and passed over."""
        for name in self._preload:
            try:
                await self._pipeline.load(self._catalog.model(name), keep_alive_s=None)
            except HoshikageError as error:
                log.error("preload_failed", model=name, reason=error.message)
            except Exception:  # of an engine that breaks its contract; the server must become ready all the same
                log.exception("preload_failed", model=name)
        self._preloading = False

    def _go_on(self, _bytes_read: int) -> None:
        """Called between the pieces of a file: a thread cannot be cancelled, but it can be told to give up."""
        if self._stopping:
            raise InterruptedError

    async def _reconcile(self) -> None:
        """Let go of models that were removed or replaced outside, and look for memory that others have given back."""
        while True:
            await asyncio.sleep(RECONCILE_INTERVAL_S)
            self._residence.retire_missing(self._catalog.models())
            self._admission.dispatch()

    async def _complete_catalog(self) -> None:
        """Read once what old files lack: the digest of each registered model. Then bring the tags in step."""
        for record in self._catalog.registered():
            if record.file is None or self._assembly.digests.model(record.file):
                continue
            with contextlib.suppress(OSError, ModelFileError):
                await asyncio.to_thread(self._assembly.digests.read_model, record.file, progress=self._go_on)
        await sync_tags(self._assembly)


def store_of(assembly: Assembly) -> ModelStore:
    """What changes the registered models."""
    return ModelStore(
        registry=assembly.registry,
        catalog=assembly.catalog,
        blobs=BlobStore(assembly.settings.data_dir / "blobs"),
        digests=assembly.digests,
        links=assembly.settings.data_dir / "split",
        changed=lambda: sync_tags(assembly),
    )


def pulls_of(assembly: Assembly) -> Pulls:
    """What brings models from elsewhere; the server has one, and each `hoshikage pull` its own."""
    models = PulledModels(
        registry=assembly.registry,
        digests=assembly.digests,
        settle=store_of(assembly).settle,
        changed=lambda: sync_tags(assembly),
    )
    return Pulls(assembly.manager.downloaders(assembly.settings), models)


async def sync_tags(assembly: Assembly) -> None:
    """Write the tags files as the registry stands now; where they cannot be written, say so and go on."""
    async with assembly.tags_lock:  # whoever read an older list must not write it last
        records = assembly.catalog.registered()
        models = [(record, await assembly.catalog.facts_or_none(record)) for record in records]
        try:
            await finish_in_thread(write_tags, assembly.registry.files, models)
        except OSError as error:
            log.warning("tags_not_written", file=str(error.filename), reason=error.strerror)


def versions() -> dict[str, str]:
    """The versions that a bug report needs."""
    names = ("hoshikage", "llama-cpp-python", "quart", "hypercorn")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
