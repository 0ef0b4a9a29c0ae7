"""Embedder `sentence-transformers`: ruri and any other model in that library's layout, from this machine."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from hoshikage import Check, SettingsSection, hookimpl
from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Embedder, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `sentence_transformers`."""
    return [SettingsSection("sentence_transformers", SentenceTransformersSettings)]


@hookimpl
def hoshikage_provide_checks(settings: Settings) -> Sequence[Check]:
    """Offer the check of the model, where the package is there."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return []
    from hoshikage.plugins.embedder_sentence_transformers.checks import NAME, check_model

    section = settings.section(SentenceTransformersSettings)
    return [Check(NAME, lambda: check_model(section, settings.project.resolve(section.model)))]


@hookimpl
def hoshikage_provide_embedders(settings: Settings) -> Sequence[Embedder]:
    """Offer the embedder, where its package is there."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return []
    from hoshikage.plugins.embedder_sentence_transformers.embedder import SentenceTransformers

    section = settings.section(SentenceTransformersSettings)
    return [SentenceTransformers(section, settings.project.resolve(section.model))]
