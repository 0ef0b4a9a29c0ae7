"""Long-term memory: what people said comes back when it helps, for any client."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.memory.settings import ChromaSettings, DigestSettings, MemorySettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Check, Embedder, MemoryStore, ServedModels, Settings

log = structlog.get_logger(__name__)

NEEDED: Final = ("apsw", "snowballstemmer")


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the sections `memory`, `digests` and `chroma`."""
    schemas = {"memory": MemorySettings, "digests": DigestSettings, "chroma": ChromaSettings}
    return [SettingsSection(name, schema) for name, schema in schemas.items()]


@hookimpl
def hoshikage_provide_checks(settings: Settings) -> Sequence[Check]:
    """Offer the checks of the packages, the folder, the embedder, and the predecessor's database."""
    from hoshikage.plugins.memory.checks import memory_checks

    return memory_checks(settings)


@hookimpl
def hoshikage_provide_memory(
    settings: Settings, embedders: Sequence[Embedder], models: ServedModels
) -> Sequence[MemoryStore]:
    """Offer the store, where the packages of the extra `memory` are there."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        if settings.section(MemorySettings).mode != "off":
            log.warning(
                "memory_unavailable", reason=f"{', '.join(missing)} is missing: pip install 'hoshikage[memory]'"
            )
        return []
    from hoshikage.plugins.memory.digests.work import Digests
    from hoshikage.plugins.memory.index.shelves import shelf_of
    from hoshikage.plugins.memory.store import SqliteMemory

    section, chroma = settings.section(MemorySettings), settings.section(ChromaSettings)
    folder = settings.path(section.folder, default="memory")
    digests = Digests(settings.section(DigestSettings), models)
    predecessor = settings.path(chroma.path, default="") if chroma.path else None
    return [SqliteMemory(section, folder, embedders, digests, shelf=shelf_of(chroma, folder), predecessor=predecessor)]
