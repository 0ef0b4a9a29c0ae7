"""Embedder `gguf`: any embedding model that this server serves finds memories too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.embedder_gguf.settings import GgufEmbedderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Embedder, ServedModels, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `embedder_gguf`."""
    return [SettingsSection("embedder_gguf", GgufEmbedderSettings)]


@hookimpl
def hoshikage_provide_embedders(settings: Settings, models: ServedModels) -> Sequence[Embedder]:
    """Offer the embedder."""
    from hoshikage.plugins.embedder_gguf.embedder import GgufEmbedder

    return [GgufEmbedder(settings.section(GgufEmbedderSettings), models)]
