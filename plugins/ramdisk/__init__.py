"""RAM disk: copies of model files on a tmpfs, from which they load without the disk."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hoshikage import SettingsSection, hookimpl
from hoshikage.plugins.ramdisk.settings import RamDiskSettings, ramdisk_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Check, Settings, Stager


@hookimpl
def hoshikage_declare_settings() -> Sequence[SettingsSection]:
    """Declare the section `ramdisk`."""
    return [SettingsSection("ramdisk", RamDiskSettings)]


@hookimpl
def hoshikage_provide_stagers(settings: Settings) -> Sequence[Stager]:
    """Offer the RAM disk; one that is switched off says so as its reason."""
    if sys.platform == "win32":  # no tmpfs, and no locks as we need them
        return []
    from hoshikage.plugins.ramdisk.stager import RamDisk

    section = settings.section(RamDiskSettings)
    return [RamDisk(section, path=ramdisk_path(settings), pins_file=settings.data_dir / "ramdisk_pins.json")]


@hookimpl
def hoshikage_provide_checks(settings: Settings) -> Sequence[Check]:
    """Offer the check of the RAM disk."""
    from hoshikage.plugins.ramdisk.checks import ramdisk_checks

    return ramdisk_checks(settings.section(RamDiskSettings), ramdisk_path(settings))
