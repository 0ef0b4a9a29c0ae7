"""The plug-in manager: which plug-ins run, and a typed face for what they offer."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pluggy
import structlog

from hoshikage.core import discovery, hookspecs
from hoshikage.core.errors import PluginError
from hoshikage.core.settings import KERNEL_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

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
    from hoshikage.core.discovery import Candidate, Door

log = structlog.get_logger(__name__)

PROJECT = "hoshikage"
HOOK_PREFIX = "hoshikage_"
_NOBODY: Mapping[str, str] = MappingProxyType({})


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


@dataclass(frozen=True, slots=True)
class PluginRow:
    """One plug-in as `hoshikage plugins` shows it.

    Attributes:
        state: `active`, `disabled` or `broken`.
        reason: why it is not active.
        hooks: the hooks it implements.
    """

    name: str
    door: Door
    origin: str
    state: str
    reason: str = ""
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PluginChoice:
    """Which plug-ins may run.

    Attributes:
        enabled: if not empty, only these third-party plug-ins.
        disabled: these never.
        safe_mode: built-in plug-ins only.
        folder: where single-file plug-ins are.
    """

    enabled: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    safe_mode: bool = False
    folder: Path | None = None

    def refusal(self, candidate: Candidate) -> str | None:
        """Why a candidate must not be loaded; `None` if it may."""
        third_party = candidate.door != "built-in"
        if candidate.name in self.disabled:
            return "named in plugins.disabled"
        if third_party and self.safe_mode:
            return "safe mode loads built-in plug-ins only"
        if third_party and self.enabled and candidate.name not in self.enabled:
            return "not named in plugins.enabled"
        return None


class PluginManager:
    """Discovers and registers plug-ins, and collects what they offer.

    A third-party plug-in that fails to import or raises in a hook is taken out with one log line; a built-in one
    stops the start. An unknown hook and two providers of one name stop the start, whoever brings them.
    """

    def __init__(self, choice: PluginChoice) -> None:
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._rows: dict[str, PluginRow] = {}
        self._choice = choice

    @classmethod
    def discover(cls, choice: PluginChoice) -> PluginManager:
        """Load every plug-in of the three doors that `choice` lets in.

        Raises:
            PluginError: an unknown hook, or two plug-ins of one name.
        """
        manager = cls(choice)
        for candidate in discovery.built_in():
            manager.add(candidate)
        for candidate in discovery.entry_points():
            manager.add(candidate)
        if choice.folder is not None:
            for candidate in discovery.folder_files(choice.folder):
                manager.add(candidate)
        return manager

    def add(self, candidate: Candidate) -> None:
        """Import and register one plug-in, or note why not."""
        if candidate.name in self._rows:
            other = self._rows[candidate.name]
            raise PluginError(
                f"two plug-ins are named {candidate.name!r}: {other.origin} ({other.door}) and "
                f"{candidate.origin} ({candidate.door}); rename one or uninstall it"
            )
        refusal = self._choice.refusal(candidate)
        if refusal is not None:
            self._note(candidate, "disabled", refusal)
            return
        try:
            plugin = candidate.load()
        except Exception as error:
            if candidate.door == "built-in":
                raise
            self._break(candidate.name, error, candidate)
            return
        self._refuse_unknown_hooks(candidate, plugin)
        try:
            self._pluggy.register(plugin, name=candidate.name)
        except (pluggy.PluginValidationError, ValueError) as error:  # a wrong argument; one module twice
            raise PluginError(f"plug-in {candidate.name!r} ({candidate.origin}): {error}") from error
        self._note(candidate, "active", hooks=_hooks_of(plugin))

    def rows(self) -> list[PluginRow]:
        """Every plug-in that was found."""
        return list(self._rows.values())

    # --- the typed face ---

    def setting_sections(self) -> list[SettingsSection]:
        """What the plug-ins declare as settings."""
        kernel = {section.name: "the kernel" for section in KERNEL_SECTIONS}
        return self._collect("hoshikage_declare_settings", _with(), kernel)

    def engines(self, settings: Settings) -> list[Engine]:
        """The engines on offer."""
        return self._collect("hoshikage_provide_engines", _with(settings=settings))

    def model_sources(self, settings: Settings) -> list[ModelSource]:
        """The sources of models on offer."""
        return self._collect("hoshikage_provide_model_sources", _with(settings=settings))

    def stagers(self, settings: Settings) -> list[Stager]:
        """The places on offer that are faster than the disk."""
        return self._collect("hoshikage_provide_stagers", _with(settings=settings))

    def downloaders(self, settings: Settings) -> list[Downloader]:
        """The places on offer to bring models from."""
        return self._collect("hoshikage_provide_downloaders", _with(settings=settings))

    def request_filters(self, settings: Settings) -> list[RequestFilter]:
        """The request filters, in the order they run."""
        filters: list[RequestFilter] = self._collect("hoshikage_provide_request_filters", _with(settings=settings))
        return sorted(filters, key=lambda f: f.order)

    def chat_formats(self, settings: Settings) -> list[ChatFormat]:
        """The chat formats, in the order they are asked."""
        formats: list[ChatFormat] = self._collect("hoshikage_provide_chat_formats", _with(settings=settings))
        return sorted(formats, key=lambda f: f.order)

    def embedders(self, settings: Settings, models: ServedModels) -> list[Embedder]:
        """What turns texts into vectors."""
        return self._collect("hoshikage_provide_embedders", _with(settings=settings, models=models))

    def memory_stores(
        self, settings: Settings, embedders: Sequence[Embedder], models: ServedModels
    ) -> list[MemoryStore]:
        """The stores of long-term memories."""
        return self._collect("hoshikage_provide_memory", _with(settings=settings, embedders=embedders, models=models))

    def observers(self, settings: Settings) -> list[Observer]:
        """The observers on offer."""
        return self._collect("hoshikage_provide_observers", _with(settings=settings))

    def route_groups(self, server: ServerApi) -> list[RouteGroup]:
        """The groups of routes on offer."""
        return self._collect("hoshikage_provide_routes", _with(server=server))

    def checks(self, settings: Settings) -> list[Check]:
        """The checks for `doctor`."""
        return self._collect("hoshikage_provide_checks", _with(settings=settings))

    # --- inside ---

    def _collect(
        self, hook: str, call: Callable[[pluggy.HookImpl], Iterable[T]], taken: Mapping[str, str] = _NOBODY
    ) -> list[T]:
        """Call one hook of each plug-in by itself, so that a broken one spoils only its own part."""
        owners = dict(taken)
        offered: list[T] = []
        impls: Sequence[pluggy.HookImpl] = getattr(self._pluggy.hook, hook).get_hookimpls()
        for impl in impls:
            try:
                provided = [(item.name, item) for item in call(impl) or ()]
            except Exception as error:
                if self._rows[impl.plugin_name].door == "built-in":
                    raise
                self._break(impl.plugin_name, error)
                continue
            for name, item in provided:
                if name in owners:
                    raise PluginError(
                        f"{owners[name]} and {impl.plugin_name} both provide {name!r} in {hook}; "
                        "disable one of the plug-ins with plugins.disabled"
                    )
                owners[name] = impl.plugin_name
                offered.append(item)
        return offered

    def _refuse_unknown_hooks(self, candidate: Candidate, plugin: object) -> None:
        known = {name for name in vars(hookspecs) if name.startswith(HOOK_PREFIX)}
        for hook in _hooks_of(plugin):
            if hook not in known:
                raise PluginError(
                    f"plug-in {candidate.name!r} ({candidate.origin}) implements an unknown hook {hook!r}; "
                    f"known hooks: {', '.join(sorted(known))}"
                )

    def _break(self, name: str, error: Exception, candidate: Candidate | None = None) -> None:
        """Take a third-party plug-in out of service: one log line, and a row with the reason."""
        reason = f"{type(error).__name__}: {error}"
        log.error("plugin_broken", plugin=name, reason=reason)
        if candidate is not None:
            self._note(candidate, "broken", reason)
            return
        row = self._rows[name]
        self._pluggy.unregister(name=name)
        self._rows[name] = PluginRow(row.name, row.door, row.origin, "broken", reason, row.hooks)

    def _note(self, candidate: Candidate, state: str, reason: str = "", hooks: tuple[str, ...] = ()) -> None:
        row = PluginRow(candidate.name, candidate.door, candidate.origin, state, reason, hooks)
        self._rows[candidate.name] = row


def _hooks_of(plugin: object) -> tuple[str, ...]:
    marker = f"{PROJECT}_impl"
    # Only functions are asked: an imported proxy, as Quart's `request`, raises when it is asked for anything.
    members = inspect.getmembers(plugin, lambda m: inspect.isroutine(m) and getattr(m, marker, None) is not None)
    return tuple(name for name, _ in members)


def _with(**arguments: object) -> Callable[[pluggy.HookImpl], Any]:
    """Call a hook implementation with those arguments that it asks for."""

    def call(impl: pluggy.HookImpl) -> Any:
        return impl.function(*(arguments[name] for name in impl.argnames))

    return call
