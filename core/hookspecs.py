"""Every hook, on one page. A plug-in implements those it needs, each under `@hoshikage.hookimpl`.

Hooks *offer* typed objects, once, while the server starts. They do not load, open sockets or await: work lives in
the async methods of what they hand over. A hook may leave out arguments that it does not use. All of them return
a sequence. An exception from a hook takes a third-party plug-in out of service, with one line in the log and the
reason in `hoshikage plugins`; from a built-in plug-in it stops the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.config.schema import SettingsSection
    from hoshikage.config.settings import Settings
    from hoshikage.core.contracts import (
        ChatFormat,
        Check,
        Downloader,
        Embedder,
        Engine,
        MemoryStore,
        ModelSource,
        Observer,
        RequestFilter,
        RouteGroup,
        ServedModels,
        ServerApi,
        Stager,
    )

hookspec = pluggy.HookspecMarker("hoshikage")

# --- lifecycle ---------------------------------------------------------------------------------------------


@hookspec
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the plug-in's settings.

    Called first, before any setting is read. Two plug-ins with a section of one name are an error that names both.

    Example:
        >>> @hookimpl
        ... def hoshikage_declare_settings():
        ...     return [SettingsSection("clock", ClockSettings)]
    """


@hookspec
def hoshikage_provide_checks(settings: Settings) -> Sequence[Check]:
    """Offer checks for `hoshikage doctor`.

    Called by the command `doctor` only. A check that raises is shown as a failed check.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_checks():
        ...     return [Check("clock", lambda: [CheckResult("clock", "ok", "it ticks")])]
    """


# --- models ------------------------------------------------------------------------------------------------


@hookspec
def hoshikage_provide_engines(settings: Settings) -> Sequence[Engine]:
    """Offer engines.

    Called once at start. A model names its engine, or takes the first one whose `supports` says yes. Two engines
    of one name are an error that names both plug-ins.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_engines(settings):
        ...     return [ParrotEngine(settings.section(ParrotSettings))]
    """


@hookspec
def hoshikage_provide_model_sources(settings: Settings) -> Sequence[ModelSource]:
    """Offer models beside those of the registry.

    Called once at start. Where a source and the registry have one name, the registry's model is used.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_model_sources():
        ...     return [ParrotModels()]
    """


@hookspec
def hoshikage_provide_stagers(settings: Settings) -> Sequence[Stager]:
    """Offer places that are faster than the disk, where models are copied before they are loaded.

    Called once at start. The kernel uses the first one that is available; without any, models load from disk.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_stagers(settings):
        ...     return [ParrotPerch(settings.section(PerchSettings))]
    """


@hookspec
def hoshikage_provide_downloaders(settings: Settings) -> Sequence[Downloader]:
    """Offer places to bring models from.

    Called once at start, and by `hoshikage pull`. A reference goes to the first downloader that accepts it.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_downloaders(settings):
        ...     return [ParrotShop(settings.data_dir)]
    """


# --- requests ----------------------------------------------------------------------------------------------


@hookspec
def hoshikage_provide_request_filters(settings: Settings) -> Sequence[RequestFilter]:
    """Offer filters that may change or refuse a request before it is queued.

    Called once at start; the filters run for every request, lowest `order` first.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_request_filters():
        ...     return [PoliteFilter()]
    """


@hookspec
def hoshikage_provide_chat_formats(settings: Settings) -> Sequence[ChatFormat]:
    """Offer formats in which models write thinking and tool calls.

    Called once at start. A model gets the first format that recognises its chat template, lowest `order` first. A
    format that raises while it is chosen is passed over; one that raises later fails that request.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_chat_formats():
        ...     return [ParrotFormat()]
    """


@hookspec
def hoshikage_provide_observers(settings: Settings) -> Sequence[Observer]:
    """Offer observers that are told how each request for text ended.

    Called once at start; observers run after the answer went out.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_observers():
        ...     return [TokenCounter()]
    """


@hookspec
def hoshikage_provide_embedders(settings: Settings, models: ServedModels) -> Sequence[Embedder]:
    """Offer what turns texts into vectors, so that memories are found by meaning too.

    Called once at start, before `models` can be asked; a model is loaded when it is first needed.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_embedders():
        ...     return [ParrotEars()]
    """


@hookspec
def hoshikage_provide_memory(
    settings: Settings, embedders: Sequence[Embedder], models: ServedModels
) -> Sequence[MemoryStore]:
    """Offer a store of long-term memories.

    Called once at start, after all embedders were offered, and before `models` can be asked. The kernel uses the first
    store.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_memory(settings, embedders):
        ...     return [ParrotMemory(settings.data_dir / "parrot", embedders)]
    """


# --- routes ------------------------------------------------------------------------------------------------


@hookspec
def hoshikage_provide_routes(server: ServerApi) -> Sequence[RouteGroup]:
    """Offer groups of HTTP routes.

    Called once, when the web application is built. Two groups of one name, or two plug-ins with one route, are an
    error that names both.

    Example:
        >>> @hookimpl
        ... def hoshikage_provide_routes(server):
        ...     return [RouteGroup("hello", blueprint)]
    """
