"""Effective settings: checks, errors, warnings and paths."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from hoshikage import ConfigError
from hoshikage.config.settings import load_settings
from hoshikage.core.settings import KERNEL_SECTIONS, ServerSettings
from tests.config.clock import ClockSettings, clock_of, load

CLOCK_KEYS = "zone, nickname, hours, speed, offset, loud, bells, dial, key, pin"


def message_of(project, **environ: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(project, **environ)
    return error.value.message


def shown(project, key: str, **environ: str) -> str:
    return next(v.shown() for v in load(project, **environ).values if v.field.key == key)


def test_unknown_key_names_key_value_and_allowed_keys(project):
    """An unknown key of a known section is refused with its value, its source and the keys there are."""
    message = message_of(project, HOSHIKAGE_CLOCK__ZOME="UTC")

    expected = (
        "unknown setting clock.zome = 'UTC' (from HOSHIKAGE_CLOCK__ZOME (environment)); "
        f"section 'clock' has: {CLOCK_KEYS}"
    )
    assert expected == message


def test_unknown_key_in_toml_names_the_profile(project, toml):
    """An unknown key in settings.toml is refused with the profile that has it."""
    toml("[default.clock]\ncolour = 3\n")

    message = message_of(project)

    expected = f"unknown setting clock.colour = '3' (from settings.toml [default]); section 'clock' has: {CLOCK_KEYS}"
    assert expected == message


def test_unknown_root_key_names_the_top_level(project):
    """An unknown key of no section is refused with the keys of the top level."""
    message = message_of(project, HOSHIKAGE_DATADIR="x")

    expected = "unknown setting datadir = 'x' (from HOSHIKAGE_DATADIR (environment)); the top level has: data_dir"
    assert expected == message


@pytest.mark.parametrize(
    ("name", "text", "value", "allowed"),
    [
        ("hours", "noon", "'noon'", "int >= 1 <= 24 [h]"),
        ("hours", "25", "25", "int >= 1 <= 24 [h]"),
        ("hours", "0", "0", "int >= 1 <= 24 [h]"),
        ("hours", "1.5", "1.5", "int >= 1 <= 24 [h]"),
        ("hours", "true", "True", "int >= 1 <= 24 [h]"),
        ("hours", "", "''", "int >= 1 <= 24 [h]"),
        ("speed", "0", "0", "float > 0"),
        ("speed", "nan", "nan", "float > 0"),
        ("loud", "1", "1", "bool"),
        ("bells", "ding", "'ding'", "list of str"),
        ("bells", "[1, 2]", "[1, 2]", "list of str"),
        ("dial", "blank", "'blank'", '"plain" | "roman"'),
        ("offset", "soon", "'soon'", "int or unset [s]"),
    ],
)
def test_bad_value_names_key_value_and_what_is_allowed(project, name: str, text: str, value: str, allowed: str):
    """A value of a wrong type or out of range is refused with key, value, source and what is allowed."""
    variable = f"HOSHIKAGE_CLOCK__{name.upper()}"

    message = message_of(project, **{variable: text})

    assert f"setting clock.{name} = {value} (from {variable} (environment)) is not allowed: {allowed}" == message


def test_bad_value_in_toml_is_not_read_leniently(project, toml):
    """A number written as text in settings.toml is text."""
    toml('[default.clock]\nhours = "12"\n')

    message = message_of(project)

    expected = "setting clock.hours = '12' (from settings.toml [default]) is not allowed: int >= 1 <= 24 [h]"
    assert expected == message


def test_bad_value_names_the_parameter(project):
    """The error carries the key, for programs."""
    with pytest.raises(ConfigError) as error:
        load(project, HOSHIKAGE_CLOCK__HOURS="0")

    assert "clock.hours" == error.value.param


def test_bad_secret_is_masked_in_the_error(project):
    """The error of a secret setting does not show its value, nor does the error behind it."""
    with pytest.raises(ConfigError) as error:
        load(project, HOSHIKAGE_CLOCK__PIN="hunter2")

    texts = f"{error.value.message} {error.value.__cause__}"
    assert ("********" in texts, "hunter2" in texts) == (True, False)


def test_secret_is_masked_when_shown(project):
    """A secret is shown as asterisks."""
    assert "********" == shown(project, "clock.key", HOSHIKAGE_CLOCK__KEY="hunter2")


def test_unset_secret_is_shown_as_unset(project):
    """A secret that is not set is shown as the empty text, so that a reader sees it."""
    assert '""' == shown(project, "clock.key")


def test_secret_reaches_its_section(project):
    """The program itself reads the secret."""
    assert "hunter2" == clock_of(load(project, HOSHIKAGE_CLOCK__KEY="hunter2")).key


@pytest.mark.parametrize(
    ("key", "text"), [("clock.zone", '"Asia/Tokyo"'), ("clock.bells", '["ding"]'), ("clock.loud", "false")]
)
def test_values_are_shown_as_json(project, key: str, text: str):
    """A value is shown as JSON, so that text and numbers differ."""
    assert text == shown(project, key)


def test_unknown_section_only_warns(project):
    """A section that nobody declares has no effect but a warning that names key and source."""
    settings = load(project, HOSHIKAGE_SUNDIAL__ANGLE="35")

    expected = (
        "sundial.angle from HOSHIKAGE_SUNDIAL__ANGLE (environment) has no effect: "
        "no loaded plug-in has a section 'sundial'"
    )
    assert (expected,) == settings.warnings


def test_nothing_to_say_is_no_warning(project):
    """Known settings give no warning."""
    assert () == load(project, HOSHIKAGE_CLOCK__HOURS="24").warnings


def test_section_of_nobody_is_a_key_error(project):
    """Asking for a section that nobody declared is a mistake of the program."""
    with pytest.raises(KeyError):
        load(project).section(ServerSettings)


def test_every_declared_setting_is_listed(project):
    """The values hold each declared setting once, the root's first."""
    keys = [v.field.key for v in load(project).values]

    assert ["data_dir", *(f"clock.{name}" for name in CLOCK_KEYS.split(", "))] == keys


def test_kernel_defaults_are_allowed(project):
    """The kernel's own defaults stand where nothing is configured."""
    settings = load_settings(project, {}, KERNEL_SECTIONS)

    server = settings.section(ServerSettings)
    assert ("127.0.0.1", 8000) == (server.host, server.port)


def test_default_data_dir_in_a_project(project, toml):
    """With a settings.toml the data directory is `data` beside it."""
    toml("")

    assert project.root / "data" == load(project).data_dir


def test_default_data_dir_without_a_project(project):
    """Without a settings.toml the data directory is the user's."""
    assert Path(platformdirs.user_data_dir("hoshikage")) == load(project).data_dir


def test_relative_data_dir_lies_in_the_project(project):
    """A relative data directory resolves against the project, not the current folder."""
    assert project.root / "a" / "b" == load(project, HOSHIKAGE_DATA_DIR="./a/b").data_dir


def test_absolute_data_dir_stands(project, tmp_path):
    """An absolute data directory is taken as it is."""
    assert tmp_path / "far" == load(project, HOSHIKAGE_DATA_DIR=str(tmp_path / "far")).data_dir


def test_tilde_data_dir_is_at_home(project, home):
    """A data directory may begin with `~`."""
    assert home / "stars" == load(project, HOSHIKAGE_DATA_DIR="~/stars").data_dir


def test_path_setting_resolves_against_the_project(project):
    """A path that is set is relative to the project."""
    assert project.root / "x.json" == load(project).path("x.json", default="y.json")


def test_unset_path_lies_in_the_data_dir(project):
    """A path that is not set is its default within the data directory."""
    settings = load(project, HOSHIKAGE_DATA_DIR="stars")

    assert project.root / "stars" / "y.json" == settings.path("", default="y.json")


def test_section_is_the_declared_dataclass(project):
    """A section is handed out as an instance of its dataclass."""
    assert ClockSettings(hours=6) == clock_of(load(project, HOSHIKAGE_CLOCK__HOURS="6"))
