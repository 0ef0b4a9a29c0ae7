"""The layers: which of two values wins, and how text is read."""

from __future__ import annotations

import itertools

import pytest

from hoshikage import ConfigError
from hoshikage.config.layers import PROFILES, read_layers
from hoshikage.config.project import Project
from tests.config.clock import clock_of, load

# Every layer from the weakest on, each saying its own name.
LAYERS = ("toml default", "toml profile", "home .env", "project .env", "named .env", "environment")


@pytest.fixture
def layered(project, home, tmp_path, toml, dotenv):
    """Loads the zone as the named layers give it, all of them at once."""

    def zone_of(*layers: str) -> str:
        environ = {"HOSHIKAGE_CONFIG_PATH": str(tmp_path / "named.env")}
        tables = {"toml default": "[default.clock]", "toml profile": "[development.clock]"}
        toml("\n".join(f'{tables[layer]}\nzone = "{layer}"' for layer in layers if layer in tables))
        files = {"home .env": home / ".config/hoshikage/.env", "named .env": tmp_path / "named.env"}
        for layer, file in files.items():
            if layer in layers:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"HOSHIKAGE_CLOCK__ZONE='{layer}'\n")
        if "project .env" in layers:
            dotenv("HOSHIKAGE_CLOCK__ZONE='project .env'\n")
        if "environment" in layers:
            environ["HOSHIKAGE_CLOCK__ZONE"] = "environment"
        return clock_of(load(project, **environ)).zone

    return zone_of


def test_nothing_configured_gives_the_default(project):
    """A setting that no layer mentions has its declared default, and says so."""
    settings = load(project)

    zone = next(v for v in settings.values if v.field.key == "clock.zone")
    assert ("Asia/Tokyo", "default") == (zone.value, zone.source)


@pytest.mark.parametrize(("weaker", "stronger"), list(itertools.combinations(LAYERS, 2)))
def test_stronger_layer_wins(layered, weaker: str, stronger: str):
    """Of two layers the one that is nearer to the caller wins."""
    assert stronger == layered(weaker, stronger)


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_beats_the_declared_default(layered, layer: str):
    """Each layer alone replaces the declared default."""
    assert layer == layered(layer)


def test_layers_are_laid_over_each_other_by_key(project, toml):
    """A profile that sets one key of a section leaves its other keys as `[default]` has them."""
    toml('[default.clock]\nzone = "UTC"\nhours = 24\n[development.clock]\nzone = "Asia/Seoul"\n')

    clock = clock_of(load(project))

    assert ("Asia/Seoul", 24) == (clock.zone, clock.hours)


def test_list_of_a_profile_replaces_the_default_list(project, toml):
    """A list in a profile is the list, not an addition to that of `[default]`."""
    toml('[default.clock]\nbells = ["a", "b"]\n[development.clock]\nbells = ["c"]\n')

    assert ("c",) == clock_of(load(project)).bells


def test_empty_list_of_a_profile_replaces_the_default_list(project, toml):
    """An empty list in a profile empties that of `[default]`."""
    toml('[default.clock]\nbells = ["a", "b"]\n[development.clock]\nbells = []\n')

    assert () == clock_of(load(project)).bells


@pytest.mark.parametrize("profile", PROFILES)
def test_environment_chooses_the_profile(project, toml, profile: str):
    """`HOSHIKAGE_ENV` chooses the profile; the others stay without effect."""
    toml("".join(f'[{name}.clock]\nzone = "{name}"\n' for name in PROFILES))

    assert profile == clock_of(load(project, HOSHIKAGE_ENV=profile)).zone


def test_dotenv_may_choose_the_profile(project, toml, dotenv):
    """`HOSHIKAGE_ENV` may also stand in `.env`."""
    toml('[production.clock]\nzone = "production"\n')
    dotenv("HOSHIKAGE_ENV=production\n")

    assert "production" == clock_of(load(project)).zone


def test_profile_of_another_dynaconf_program_is_ignored(project, toml, monkeypatch):
    """Dynaconf's own variables, which belong to other programs, choose nothing here."""
    toml('[development.clock]\nzone = "development"\n[production.clock]\nzone = "production"\n')
    monkeypatch.setenv("ENV_FOR_DYNACONF", "production")

    assert "development" == clock_of(load(project)).zone


def test_unknown_profile_is_an_error(project):
    """An unknown profile is refused with the variable, its value and the profiles there are."""
    with pytest.raises(ConfigError) as error:
        load(project, HOSHIKAGE_ENV="staging")

    assert "HOSHIKAGE_ENV is 'staging'; allowed: development, testing, production" == error.value.message


@pytest.mark.parametrize("text", ['[clock]\nzone = "UTC"\n', 'zone = "UTC"\n', '[staging.clock]\nzone = "UTC"\n'])
def test_what_stands_outside_of_the_profiles_is_an_error(project, toml, text: str):
    """A table or key beside the profiles would have no effect, so it is refused with the way to mend it."""
    toml(text)

    with pytest.raises(ConfigError, match=r"under \[default\]"):
        list(read_layers(project, {}))


def test_broken_toml_is_an_error(project, toml):
    """A settings.toml that is no TOML is refused by its path."""
    toml("[default\nport = ")

    with pytest.raises(ConfigError, match=f"{project.settings_file} cannot be read"):
        load(project)


def test_root_settings_stand_directly_in_a_profile(project, toml):
    """A key directly in a profile is a setting of no section."""
    toml('[default]\ndata_dir = "elsewhere"\n')

    assert project.root / "elsewhere" == load(project).data_dir


def test_double_underscore_separates_section_and_key(project):
    """`HOSHIKAGE_SECTION__KEY` sets a key of a section."""
    assert 24 == clock_of(load(project, HOSHIKAGE_CLOCK__HOURS="24")).hours


def test_single_underscores_belong_to_the_key(project):
    """`HOSHIKAGE_DATA_DIR` is the root setting `data_dir`, not a section `data`."""
    entries = list(read_layers(project, {"HOSHIKAGE_DATA_DIR": "x"}))

    assert [("", "data_dir")] == [(e.section, e.name) for e in entries]


@pytest.mark.parametrize("text", ["12345", "true", "[1, 2]", "1.50", "@int 7", "", "a = b", '"quoted"'])
@pytest.mark.parametrize("name", ["zone", "nickname"])
def test_text_setting_is_taken_literally(project, name: str, text: str):
    """Text that looks like a number, a list or a flag stays the text that it is."""
    clock = clock_of(load(project, **{f"HOSHIKAGE_CLOCK__{name.upper()}": text}))

    assert text == getattr(clock, name)


@pytest.mark.parametrize(
    ("text", "flag"),
    [("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False)],
)
def test_flags_are_read_in_any_case(project, text: str, flag: bool):
    """`true` and `false` are flags however they are written."""
    assert flag is clock_of(load(project, HOSHIKAGE_CLOCK__LOUD=text)).loud


@pytest.mark.parametrize("text", ["yes", "1", "on", "", "[true]"])
def test_nothing_else_is_a_flag(project, text: str):
    """Anything but `true` and `false` is refused for a flag."""
    with pytest.raises(ConfigError, match=r"clock\.loud"):
        load(project, HOSHIKAGE_CLOCK__LOUD=text)


@pytest.mark.parametrize(
    ("text", "bells"), [("[]", ()), ('["a"]', ("a",)), ('["鐘", "b c"]', ("鐘", "b c")), ("['x', 'y']", ("x", "y"))]
)
def test_lists_are_read_as_toml(project, text: str, bells: tuple[str, ...]):
    """A list in a variable is written as in TOML."""
    assert bells == clock_of(load(project, HOSHIKAGE_CLOCK__BELLS=text)).bells


@pytest.mark.parametrize(("text", "speed"), [("2", 2.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_whole_numbers_are_floats_too(project, text: str, speed: float):
    """A number with a fraction may be given without one."""
    assert speed == clock_of(load(project, HOSHIKAGE_CLOCK__SPEED=text)).speed


def test_choice_is_read_from_a_variable(project):
    """One of several words may come from a variable."""
    assert "roman" == clock_of(load(project, HOSHIKAGE_CLOCK__DIAL="roman")).dial


def test_dotenv_values_are_not_interpolated(project, dotenv):
    """A dollar sign in `.env` is a dollar sign."""
    dotenv("HOSHIKAGE_CLOCK__KEY=a${HOME}b\n")

    assert "a${HOME}b" == clock_of(load(project)).key


def test_dotenv_without_a_value_says_nothing(project, dotenv):
    """A name without `=` in `.env` leaves the setting alone."""
    dotenv("HOSHIKAGE_CLOCK__ZONE\n")

    assert "Asia/Tokyo" == clock_of(load(project)).zone


def test_missing_named_file_is_passed_over(project, tmp_path):
    """`HOSHIKAGE_CONFIG_PATH` may name a file that does not exist."""
    settings = load(project, HOSHIKAGE_CONFIG_PATH=str(tmp_path / "missing.env"))

    assert "Asia/Tokyo" == clock_of(settings).zone


def test_tilde_in_the_named_file_is_the_home_folder(project, home):
    """`HOSHIKAGE_CONFIG_PATH` may begin with `~`."""
    (home / "mine.env").write_text("HOSHIKAGE_CLOCK__ZONE=mine\n")

    assert "mine" == clock_of(load(project, HOSHIKAGE_CONFIG_PATH="~/mine.env")).zone


@pytest.mark.parametrize("name", ["ENV", "PROJECT_DIR", "CONFIG_PATH", "LIB_PATH", "API_KEY"])
def test_steering_variables_are_no_settings(project, name: str):
    """Variables that steer the reading of settings are not taken for unknown settings."""
    value = {"ENV": "testing"}.get(name, "/nowhere")

    assert [] == list(read_layers(project, {f"HOSHIKAGE_{name}": value}))


def test_foreign_variables_are_no_settings(project):
    """Variables without the prefix are left alone."""
    assert [] == list(read_layers(project, {"PATH": "/bin", "CLOCK__ZONE": "UTC", "XHOSHIKAGE_CLOCK__ZONE": "UTC"}))


@pytest.mark.parametrize("layer", ["settings.toml [development]", "HOSHIKAGE_CLOCK__ZONE (environment)"])
def test_source_names_the_layer(project, toml, layer: str):
    """A value's source is the file and profile, or the variable and where it was set."""
    environ = {"HOSHIKAGE_CLOCK__ZONE": "UTC"} if "environment" in layer else {}
    toml('[development.clock]\nzone = "UTC"\n')

    settings = load(project, **environ)

    assert layer == next(v.source for v in settings.values if v.field.key == "clock.zone")


def test_source_names_the_dotenv_file(project, dotenv):
    """A value from `.env` names the variable and the file."""
    dotenv("HOSHIKAGE_CLOCK__ZONE=UTC\n")

    settings = load(project)

    expected = f"HOSHIKAGE_CLOCK__ZONE ({project.root / '.env'})"
    assert expected == next(v.source for v in settings.values if v.field.key == "clock.zone")


def test_project_is_the_named_folder(tmp_path):
    """`HOSHIKAGE_PROJECT_DIR` is the project."""
    assert tmp_path.resolve() == Project.find({"HOSHIKAGE_PROJECT_DIR": str(tmp_path)}).root


def test_project_is_the_current_folder(tmp_path, monkeypatch):
    """Without `HOSHIKAGE_PROJECT_DIR` the current folder is the project."""
    monkeypatch.chdir(tmp_path)

    assert tmp_path.resolve() == Project.find({}).root
