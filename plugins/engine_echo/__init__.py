"""The engine without a model: it repeats what it is told, for trying clients and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.engine_echo.engine import EchoEngine
from hoshikage.plugins.engine_echo.settings import EchoSettings
from hoshikage.plugins.engine_echo.source import EchoModels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Engine, ModelSource, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `echo`."""
    return [SettingsSection("echo", EchoSettings)]


@hookimpl
def hoshikage_provide_engines(settings: Settings) -> Sequence[Engine]:
    """Offer the engine `echo`."""
    return [EchoEngine(settings.section(EchoSettings))]


@hookimpl
def hoshikage_provide_model_sources(settings: Settings) -> Sequence[ModelSource]:
    """Offer the models that `echo.models` names."""
    return [EchoModels(settings.section(EchoSettings).models)]
