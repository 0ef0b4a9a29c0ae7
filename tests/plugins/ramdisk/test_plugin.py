"""The plug-in: what it offers, and how the settings reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoshikage.config.errors import ConfigError
from hoshikage.config.project import Project
from hoshikage.config.settings import Settings, load_settings
from hoshikage.plugins import ramdisk
from hoshikage.plugins.ramdisk.settings import RamDiskSettings, ramdisk_path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No `.env` of the user's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def settings_of(tmp_path: Path, **variables: str) -> Settings:
    return load_settings(Project(tmp_path), variables, ramdisk.hoshikage_declare_settings())


def test_it_offers_a_stager_and_a_check(tmp_path):
    """One stager and one check, also where it is switched off: the reason is then its answer."""
    settings = settings_of(tmp_path, HOSHIKAGE_RAMDISK__ENABLED="false")

    (stager,) = ramdisk.hoshikage_provide_stagers(settings)
    (check,) = ramdisk.hoshikage_provide_checks(settings)

    assert ("ramdisk", "ram disk") == (stager.name, check.name)
    assert not stager.space().available


def test_the_predecessors_names(tmp_path):
    """Path, size in GiB and time in minutes come from the old variables."""
    settings = settings_of(tmp_path, RAMDISK_PATH="/mnt/ram", RAMDISK_SIZE="12", GREAT_TIMEOUT="120")

    section = settings.section(RamDiskSettings)
    assert (Path("/mnt/ram"), 12, 120) == (ramdisk_path(settings), section.size_gib, section.great_timeout_min)


def test_the_defaults(tmp_path):
    """On, in the usual place, sized by itself, freed after an hour, cleared at the stop; loads do not wait for it."""
    settings = settings_of(tmp_path)

    assert ramdisk_path(settings) is None
    assert RamDiskSettings(True, "", 0.0, 1.0, 60.0, keep_on_stop=False, wait=False, verify=True) == settings.section(
        RamDiskSettings
    )


def test_a_relative_path_and_a_link(tmp_path):
    """A relative path is the project's; a link as its last part stays one, so that it can be refused."""
    (tmp_path / "link").symlink_to("/dev/shm")

    assert tmp_path / "link" == ramdisk_path(settings_of(tmp_path, RAMDISK_PATH="link"))


@pytest.mark.parametrize("name", ["SIZE_GIB", "FLOOR_GIB", "GREAT_TIMEOUT_MIN"])
def test_negative_numbers_are_refused(tmp_path, name):
    """A size or time below 0 stops the start."""
    with pytest.raises(ConfigError, match=rf"ramdisk\.{name.lower()} = -1"):
        settings_of(tmp_path, **{f"HOSHIKAGE_RAMDISK__{name}": "-1"})
