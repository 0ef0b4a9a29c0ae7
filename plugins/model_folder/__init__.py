"""Model folder: offers every GGUF file of a folder under its file name, without registering it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.model_folder.settings import ModelFolderSettings
from hoshikage.plugins.model_folder.source import FolderModels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import ModelSource, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `model_folder`."""
    return [SettingsSection("model_folder", ModelFolderSettings)]


@hookimpl
def hoshikage_provide_model_sources(settings: Settings) -> Sequence[ModelSource]:
    """Offer the folder, if one is set."""
    path = settings.section(ModelFolderSettings).path
    return [FolderModels(settings.project.resolve(path))] if path else []
