"""A place in use: opened at the start, with what others left put right, and given back at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.budget import mount_bytes
from hoshikage.plugins.ramdisk.guards import Attendance
from hoshikage.plugins.ramdisk.place import Place, clear_state, close_place, open_place
from hoshikage.plugins.ramdisk.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.plugins.ramdisk.settings import RamDiskSettings

log = structlog.get_logger(__name__)

ENTER_LIMIT_S: Final = 10.0
ENTER_INTERVAL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Opened:
    """What there is while the place is usable."""

    place: Place
    shelf: Shelf
    attendance: Attendance

    @classmethod
    def open(cls, settings: RamDiskSettings, path: Path | None) -> Opened:
        """Get the place ready, and clean up what killed processes left.

        Raises:
            StagingRefused: the place cannot be used.
            OSError: likewise.
        """
        place, attendance = _enter(settings, path)
        try:
            place = open_place(path, mount_bytes=mount_bytes(settings))  # its last user has perhaps just cleared it
            shelf = Shelf(place)
            for name in shelf.clean_up():
                log.info("ramdisk_cleaned", folder=name)
        except BaseException:
            attendance.leave()
            raise
        return cls(place, shelf, attendance)

    def close(self, *, keep: bool) -> None:
        """Leave. The last server takes the copies away, unless they are to be kept."""
        try:
            if not keep and self.attendance.alone():
                for copy in self.shelf.copies():
                    self.shelf.remove(copy)
                self.shelf.clean_up()
                clear_state(self.place)
                close_place(self.place)
        except OSError as error:
            log.warning("ramdisk_not_cleared", path=str(self.place.path), reason=str(error))
        finally:
            self.attendance.leave()


def _enter(settings: RamDiskSettings, path: Path | None) -> tuple[Place, Attendance]:
    """Open the place and be in it; while another server clears it, this waits."""
    end = time.monotonic() + ENTER_LIMIT_S
    while True:
        place = open_place(path, mount_bytes=mount_bytes(settings))
        try:
            attendance = Attendance.enter(place.servers)
        except FileNotFoundError:
            attendance = None
        if attendance is not None:
            return place, attendance
        if time.monotonic() > end:
            raise StagingRefused(f"another server has been clearing {place.path} for {ENTER_LIMIT_S:g} s")
        time.sleep(ENTER_INTERVAL_S)
