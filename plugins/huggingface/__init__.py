"""Hugging Face: brings GGUF models from the Hub, `hf.co/org/repo:QUANT`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.huggingface.settings import HuggingFaceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Downloader, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `huggingface`."""
    return [SettingsSection("huggingface", HuggingFaceSettings)]


@hookimpl
def hoshikage_provide_downloaders(settings: Settings) -> Sequence[Downloader]:
    """Offer the Hub."""
    from hoshikage.plugins.huggingface.downloader import HubDownloader

    return [HubDownloader.of(settings)]
