"""The llama.cpp engine: one worker process per loaded model, many callers in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings, PrefixCacheSettings, StateSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Check, Engine, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the sections `llamacpp`, `prefix_cache` and `state`."""
    return [
        SettingsSection("llamacpp", LlamaCppSettings),
        SettingsSection("prefix_cache", PrefixCacheSettings),
        SettingsSection("state", StateSettings),
    ]


@hookimpl
def hoshikage_provide_engines(settings: Settings) -> Sequence[Engine]:
    """Offer the engine for GGUF files."""
    from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
    from hoshikage.plugins.engine_llamacpp.measured import MeasuredNeeds
    from hoshikage.plugins.engine_llamacpp.state_places import StatePlaces

    state = settings.section(StateSettings)
    return [
        LlamaCppEngine(
            settings.section(LlamaCppSettings),
            settings.section(PrefixCacheSettings),
            StatePlaces(state, settings.path(state.folder, default="state")) if state.enabled else None,
            MeasuredNeeds(settings.data_dir / "footprints.json"),
        )
    ]


@hookimpl
def hoshikage_provide_checks() -> Sequence[Check]:
    """Offer the checks of compiler, build and CPU/GPU features."""
    from hoshikage.plugins.engine_llamacpp.checks import llamacpp_checks

    return llamacpp_checks()
