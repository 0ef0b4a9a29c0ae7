"""Parrot: an engine that shouts the last message, a filter that makes it polite, and a route that counts."""

from __future__ import annotations

from hoshikage import SettingsSection, hookimpl
from hoshikage_parrot.engine import ParrotEngine, ParrotModels
from hoshikage_parrot.polite import PoliteFilter
from hoshikage_parrot.settings import ParrotSettings


@hookimpl
def hoshikage_declare_settings():
    return [SettingsSection("parrot", ParrotSettings)]


@hookimpl
def hoshikage_provide_engines(settings):
    return [ParrotEngine(settings.section(ParrotSettings))]


@hookimpl
def hoshikage_provide_model_sources():
    return [ParrotModels()]


@hookimpl
def hoshikage_provide_request_filters():
    return [PoliteFilter()]


@hookimpl
def hoshikage_provide_routes(server):
    from hoshikage_parrot.routes import parrot_routes

    return [parrot_routes(server)]
