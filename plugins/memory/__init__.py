"""Long-term memory: what people said comes back when it helps, for any client."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.memory.settings import MemorySettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Embedder, MemoryStore, Settings

log = structlog.get_logger(__name__)

NEEDED: Final = ("apsw", "snowballstemmer")


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `memory`."""
    return [SettingsSection("memory", MemorySettings)]


@hookimpl
def hoshikage_provide_memory(settings: Settings, embedders: Sequence[Embedder]) -> Sequence[MemoryStore]:
    """Offer the store, where the packages of the extra `memory` are there."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        if settings.section(MemorySettings).mode != "off":
            log.warning(
                "memory_unavailable", reason=f"{', '.join(missing)} is missing: pip install 'hoshikage[memory]'"
            )
        return []
    from hoshikage.plugins.memory.store import SqliteMemory

    section = settings.section(MemorySettings)
    return [SqliteMemory(section, settings.path(section.folder, default="memory"), embedders)]
