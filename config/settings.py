"""The effective settings: every declared value, checked, with where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import msgspec

from hoshikage.config.errors import ConfigError
from hoshikage.config.layers import Entry, read_layers, read_value
from hoshikage.config.legacy import OLD_PATHS
from hoshikage.config.schema import ROOT_SECTION, SettingField, SettingsSection, section_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hoshikage.config.project import Project

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class RootSettings:
    """Settings that belong to no section."""

    data_dir: Annotated[
        str, msgspec.Meta(description="Where everything that must last lives; empty: `data` in the project.")
    ] = ""


ROOT = SettingsSection(ROOT_SECTION, RootSettings)


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """A setting, its value and the layer that gave it."""

    field: SettingField
    value: Any
    source: str

    def shown(self) -> str:
        """The value for a reader; secrets are masked."""
        if self.field.secret and self.value:
            return "********"
        return msgspec.json.encode(self.value).decode()


@dataclass(frozen=True)
class Settings:
    """Read-only settings, by section.

    Example:
        >>> settings.section(ServerSettings).port
        8000
    """

    project: Project
    values: tuple[EffectiveValue, ...]
    warnings: tuple[str, ...] = ()
    _sections: Mapping[type[Any], Any] = field(default_factory=dict)

    def section(self, schema: type[S]) -> S:
        """The checked values of one section.

        Raises:
            KeyError: no plug-in declared a section with this schema.
        """
        return cast("S", self._sections[schema])

    @property
    def data_dir(self) -> Path:
        """The absolute data directory; it need not exist yet."""
        configured = self.section(RootSettings).data_dir
        return self.project.resolve(configured) if configured else self.project.default_data_dir()

    def path(self, value: str, *, default: str) -> Path:
        """An absolute path: `value` against the project, or `default` within the data directory."""
        return self.project.resolve(value) if value else self.data_dir / default


def load_settings(project: Project, environ: Mapping[str, str], sections: Sequence[SettingsSection]) -> Settings:
    """Lay the configured values over the declared defaults, and check them.

    Sections that nobody declares (a plug-in that is absent or disabled) only give a warning.

    Raises:
        ConfigError: an unknown key in a known section, or a value that its declaration does not allow.
    """
    declared = {f.key: f for s in (ROOT, *sections) for f in section_fields(s)}
    names = {s.name for s in (ROOT, *sections)}
    given: dict[str, Entry] = {}
    warnings: list[str] = []
    for entry in read_layers(project, environ):
        if entry.section not in names:
            warnings.append(_nobody_reads(entry))
        elif entry.key not in declared:
            raise _unknown_key(entry, declared.values())
        else:
            given[entry.key] = entry
    values = tuple(_effective(f, given.get(f.key)) for f in declared.values())
    built = {s.schema: _build(s, values) for s in (ROOT, *sections)}
    settings = Settings(project, values, tuple(dict.fromkeys(warnings)), built)
    return Settings(project, values, (*settings.warnings, *_outside_data(settings, given.values())), built)


def _nobody_reads(entry: Entry) -> str:
    return f"{entry.key} from {entry.source} has no effect: no loaded plug-in has a section {entry.section!r}"


def _unknown_key(entry: Entry, declared: Iterable[SettingField]) -> ConfigError:
    known = ", ".join(f.name for f in declared if f.section == entry.section)
    where = f"section {entry.section!r}" if entry.section else "the top level"
    return ConfigError(
        f"unknown setting {entry.key} = {str(entry.value)!r} (from {entry.source}); {where} has: {known}",
        param=entry.key,
    )


def _effective(field: SettingField, entry: Entry | None) -> EffectiveValue:
    if entry is None:
        return EffectiveValue(field, field.default, "default")
    value = read_value(entry.value, takes_text=field.takes_text)
    try:
        checked = msgspec.convert(value, field.annotation, strict=True)
    except msgspec.ValidationError as error:
        shown = "********" if field.secret else repr(value if not isinstance(value, str) else str(value))
        raise ConfigError(
            f"setting {field.key} = {shown} (from {entry.source}) is not allowed: {field.allowed()}",
            param=field.key,
        ) from error
    return EffectiveValue(field, checked, entry.source)


def _build(section: SettingsSection, values: Iterable[EffectiveValue]) -> Any:
    return section.schema(**{v.field.name: v.value for v in values if v.field.section == section.name})


def _outside_data(settings: Settings, entries: Iterable[Entry]) -> list[str]:
    """Warn of old relative paths that leave the data directory: a backup of it would miss them."""
    warnings = []
    data_dir = settings.data_dir.resolve()  # it may be a link to another disk
    for entry in entries:
        path = Path(str(entry.value))
        if entry.variable not in OLD_PATHS or path.is_absolute():
            continue
        if not settings.project.resolve(str(path)).is_relative_to(data_dir):
            warnings.append(
                f"{entry.variable}={entry.value} lies outside the data directory {settings.data_dir}; "
                f"a backup of that directory will not hold it: move the file there and unset {entry.variable}"
            )
    return warnings
