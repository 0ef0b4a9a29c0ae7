"""Ollama registry: brings models from Ollama's registry, or from any OCI registry that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.ollama_registry.settings import OllamaRegistrySettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Downloader, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `ollama_registry`."""
    return [SettingsSection("ollama_registry", OllamaRegistrySettings)]


@hookimpl(tryfirst=True)  # pluggy calls from the end of its list; we read it from the start, so this is asked last
def hoshikage_provide_downloaders(settings: Settings) -> Sequence[Downloader]:
    """Offer the registry."""
    from hoshikage.plugins.ollama_registry.downloader import RegistryDownloader

    return [RegistryDownloader.of(settings)]
