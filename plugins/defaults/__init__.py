"""Defaults: fills in what a request leaves open, and adds the model's own stop strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.defaults.filter import DefaultsFilter
from hoshikage.plugins.defaults.settings import DefaultsSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import RequestFilter, Settings


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `defaults`."""
    return [SettingsSection("defaults", DefaultsSettings)]


@hookimpl
def hoshikage_provide_request_filters(settings: Settings) -> Sequence[RequestFilter]:
    """Offer the filter."""
    return [DefaultsFilter(settings.section(DefaultsSettings))]
