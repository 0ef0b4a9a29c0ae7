"""The kernel: builds the parts in order, starts and stops them, and is what routes talk to."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from hoshikage.config.project import Project
from hoshikage.config.settings import load_settings
from hoshikage.core.admission import Admission
from hoshikage.core.blobs import BlobStore
from hoshikage.core.capabilities import capabilities_of
from hoshikage.core.catalog import Catalog
from hoshikage.core.contracts import KernelStatus
from hoshikage.core.errors import ModelFileError
from hoshikage.core.formats import choose_format
from hoshikage.core.gguf import DigestCache, sha256_of
from hoshikage.core.manager import PluginChoice, PluginManager
from hoshikage.core.model_store import ModelStore
from hoshikage.core.pipeline import Extensions, Pipeline
from hoshikage.core.pulled import PulledModels
from hoshikage.core.pulling import Pulls
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
from hoshikage.core.tags import write_tags

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from hoshikage.config.settings import Settings
    from hoshikage.core.contracts import (
        Caller,
        ChatRequest,
        DownloadProgress,
        Embeddings,
        EmbedRequest,
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
    catalog: Catalog


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
    catalog = Catalog(
        registry=registry,
        sources=manager.model_sources(settings),
        engines=manager.engines(settings),
        digests=digests,
    )
    return Assembly(manager, settings, registry, digests, catalog)


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
        self._residence = Residence(self.settings.section(ResidencySettings), self._catalog)
        self._admission = Admission(self.settings.section(AdmissionSettings), self._residence)
        self._formats = self.manager.chat_formats(self.settings)
        self._pipeline = Pipeline(
            extensions=Extensions(
                filters=self.manager.request_filters(self.settings),
                formats=self._formats,
                observers=self.manager.observers(self.settings),
            ),
            catalog=self._catalog,
            admission=self._admission,
            receipts=self._receipts,
        )
        self.store = store_of(assembly)
        self._pulls = pulls_of(assembly)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Check the registry, and begin the housekeeping.

        Raises:
            RegistryError: the model map is corrupt.
        """
        self._assembly.registry.entries()
        self._tasks = [
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
        await self._pipeline.stop()

    async def end_pulls(self) -> None:
        """End downloads at once: they would hold up the drain, and nothing of them is lost. Idempotent."""
        await self._pulls.stop()

    # --- ServerApi ---

    def chat(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[StreamEvent, None]:
        """See `ServerApi.chat`."""
        return self._pipeline.chat(request, self._catalog.model(request.model), caller)

    async def embed(self, request: EmbedRequest, caller: Caller) -> tuple[Embeddings, Receipt]:
        """See `ServerApi.embed`."""
        return await self._pipeline.embed(request, self._catalog.model(request.model), caller)

    async def rerank(self, request: RerankRequest, caller: Caller) -> tuple[Scores, Receipt]:
        """See `ServerApi.rerank`."""
        return await self._pipeline.rerank(request, self._catalog.model(request.model), caller)

    async def tokenize(self, model: str, text: str, *, special: bool, caller: Caller) -> tuple[int, ...]:
        """See `ServerApi.tokenize`."""
        del caller  # as for `load`
        return await self._pipeline.tokenize(text, self._catalog.model(model), special=special)

    async def detokenize(self, model: str, tokens: tuple[int, ...], *, caller: Caller) -> str:
        """See `ServerApi.detokenize`."""
        del caller  # as for `load`
        return await self._pipeline.detokenize(tokens, self._catalog.model(model))

    async def capabilities(self, record: ModelRecord) -> frozenset[str]:
        """See `ServerApi.capabilities`."""
        facts = await self._catalog.facts_or_none(record)
        return capabilities_of(facts, choose_format(self._formats, facts.chat_template))

    def models(self) -> Sequence[ModelRecord]:
        """See `ServerApi.models`."""
        return self._catalog.models()

    def model(self, name: str) -> ModelRecord:
        """See `ServerApi.model`."""
        return self._catalog.model(name)

    async def facts(self, record: ModelRecord) -> ModelFacts:
        """See `ServerApi.facts`."""
        return await self._catalog.facts_or_none(record)

    def pull(self, reference: str, *, insecure: bool = False) -> AsyncGenerator[DownloadProgress, None]:
        """See `ServerApi.pull`."""
        return self._pulls.pull(reference, insecure=insecure)

    async def load(self, name: str, *, keep_alive_s: float | None, caller: Caller) -> None:
        """See `ServerApi.load`."""
        del caller  # fairness between callers is a later concern
        await self._pipeline.load(self._catalog.model(name), keep_alive_s=keep_alive_s)

    async def unload(self, name: str) -> None:
        """See `ServerApi.unload`."""
        self._residence.ask_to_unload(self._catalog.model(name))

    def status(self) -> KernelStatus:
        """See `ServerApi.status`."""
        return KernelStatus(
            started_at=self._started_at,
            uptime_s=time.monotonic() - self._started,
            running=self._admission.running,
            waiting=self._admission.waiting,
            loaded=self._residence.views(),
            versions=versions(),
        )

    def receipts(self) -> Sequence[Receipt]:
        """See `ServerApi.receipts`."""
        return self._receipts.newest()

    # --- housekeeping ---

    def _go_on(self, _bytes_read: int) -> None:
        """Called between the pieces of a file: a thread cannot be cancelled, but it can be told to give up."""
        if self._stopping:
            raise InterruptedError

    async def _reconcile(self) -> None:
        """Let go of models that the command line has removed or replaced meanwhile."""
        while True:
            await asyncio.sleep(RECONCILE_INTERVAL_S)
            self._residence.retire_missing(self._catalog.models())

    async def _complete_catalog(self) -> None:
        """Read once what old files lack: the digest of each registered model. Then bring the tags in step."""
        for record in self._catalog.registered():
            if record.file is None or self._assembly.digests.get(record.file):
                continue
            with contextlib.suppress(OSError, ModelFileError):
                digest = await asyncio.to_thread(sha256_of, record.file, progress=self._go_on)
                self._assembly.digests.put(record.file, digest)
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
    records = assembly.catalog.registered()
    models = [(record, await assembly.catalog.facts_or_none(record)) for record in records]
    try:
        write_tags(assembly.registry.files, models)
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
