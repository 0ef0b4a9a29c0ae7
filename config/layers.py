"""The layers of configuration, weakest first: profiles of `settings.toml`, `.env` files, the environment."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from hoshikage.config.errors import ConfigError
from hoshikage.config.legacy import DOTENV_ONLY, OLD_NAMES, STEERING
from hoshikage.config.schema import ROOT_SECTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hoshikage.config.project import Project

PREFIX = "HOSHIKAGE_"
PROFILES = ("development", "testing", "production")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value that one layer gives to one key."""

    section: str
    name: str
    value: Any
    source: str
    variable: str | None = None

    @property
    def key(self) -> str:
        """The dotted key."""
        return f"{self.section}.{self.name}" if self.section else self.name


def read_layers(project: Project, environ: Mapping[str, str]) -> Iterator[Entry]:
    """Yield every configured value; where a key comes twice, the later one wins.

    Raises:
        ConfigError: `settings.toml` is no TOML, or the profile is unknown.
    """
    dotenv = _dotenv(project, environ)
    yield from _profiles(project, profile_of(project, environ))
    yield from _variables({k: v for k, v in dotenv.items() if k not in environ or k in DOTENV_ONLY})
    yield from _variables({k: (v, "environment") for k, v in environ.items() if k not in DOTENV_ONLY})


def profile_of(project: Project, environ: Mapping[str, str]) -> str:
    """The profile in force: `HOSHIKAGE_ENV` from the environment or a `.env` file."""
    found, _ = _dotenv(project, environ).get("HOSHIKAGE_ENV", ("", ""))
    return environ.get("HOSHIKAGE_ENV") or found or "development"


def _profiles(project: Project, profile: str) -> Iterator[Entry]:
    if profile not in PROFILES:
        raise ConfigError(f"HOSHIKAGE_ENV is {profile!r}; allowed: {', '.join(PROFILES)}", param="HOSHIKAGE_ENV")
    if not project.settings_file.is_file():
        return
    _refuse_stray_keys(project.settings_file)
    for env, values in _toml_tables(project.settings_file, profile):
        for section, table in values.items():
            source = f"{project.settings_file.name} [{env}]"
            if isinstance(table, dict):
                for name, value in table.items():
                    yield Entry(section.lower(), str(name).lower(), value, source)
            else:
                yield Entry(ROOT_SECTION, section.lower(), table, source)


def _refuse_stray_keys(file: Path) -> None:
    """Say no to what stands outside of the profiles, because Dynaconf would pass over it in silence."""
    try:
        stray = sorted(tomllib.loads(file.read_text(encoding="utf-8")).keys() - {"default", *PROFILES})
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if stray:
        raise ConfigError(
            f"{stray[0]!r} stands outside of the profiles in {file}; put it under [default], as [default.{stray[0]}], "
            f"or under one of {', '.join(PROFILES)}",
            param=stray[0],
        )


def _toml_tables(file: Path, profile: str) -> list[tuple[str, dict[str, Any]]]:
    """Let Dynaconf read the profiles, and take each as it stands from Dynaconf's history.

    Dynaconf itself would either replace a whole table by the profile's, or append lists to lists. Neither is
    what `[production.plugins] disabled = [...]` means, so the values are laid over each other key by key.
    """
    # Dynaconf takes a quarter of a second to import, and a command without a settings.toml does not need it.
    from dynaconf import Dynaconf
    from dynaconf.utils.inspect import get_history

    try:
        settings = Dynaconf(
            settings_files=[str(file)],
            environments=True,
            force_env=profile,  # `env` would give way to another program's ENV_FOR_DYNACONF
            core_loaders=["TOML"],
            loaders=[],
            load_dotenv=False,
        )
        history = get_history(settings)
    except Exception as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    return [(h["env"], h["value"]) for h in history if h["loader"] == "toml"]


def _dotenv(project: Project, environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for file in project.env_files(environ):
        values = dotenv_values(file, interpolate=False)
        found.update({k: (v, str(file)) for k, v in values.items() if v is not None})
    return found


def _variables(variables: Mapping[str, tuple[str, str]]) -> Iterator[Entry]:
    """Old names first, so that a name of today wins over a name of the past in the same layer."""
    for old, key in OLD_NAMES.items():
        if old in variables and variables[old][0] != "":
            value, source = variables[old]
            section, _, name = key.partition(".")
            yield Entry(section, name, _Text(value), f"{old} ({source})", variable=old)
    for variable, (value, source) in variables.items():
        if not variable.startswith(PREFIX) or variable.removeprefix(PREFIX) in STEERING:
            continue
        section, dunder, name = variable.removeprefix(PREFIX).lower().partition("__")
        entry = (section, name) if dunder else (ROOT_SECTION, section)
        yield Entry(*entry, _Text(value), f"{variable} ({source})", variable=variable)


class _Text(str):
    """A value that came as text from a variable, not yet read as a number, a list or a flag."""

    __slots__ = ()


def read_value(value: Any, *, takes_text: bool) -> Any:
    """Read a variable's text by Dynaconf's rules (TOML), unless the setting takes text as it stands."""
    if not isinstance(value, _Text):
        return value
    text = str(value)
    if takes_text:
        return text
    from dynaconf.utils.parse_conf import parse_conf_data

    return parse_conf_data(text.lower() if text.lower() in {"true", "false"} else text, tomlfy=True)
