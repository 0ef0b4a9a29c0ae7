"""Making one copy, where others interfere in its last moments."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.copying import Progress
from hoshikage.plugins.ramdisk.guards import Guards
from hoshikage.plugins.ramdisk.place import open_place
from hoshikage.plugins.ramdisk.settings import RamDiskSettings
from hoshikage.plugins.ramdisk.shelf import Shelf, ShelfCopy, Source
from hoshikage.plugins.ramdisk.staging import Staging, Usage
from tests.plugins.ramdisk.disks import MIB

if TYPE_CHECKING:
    from pathlib import Path


class DeletedFirst(Guards):
    """Somebody deletes the folder in the moment before it is guarded."""

    def take(self, key: str, folder: Path) -> bool:
        """The guard comes too late."""
        shutil.rmtree(folder)
        return super().take(key, folder)


class DeletedAfterwards(Shelf):
    """Somebody deletes the copy in the moment in which it has its name."""

    def copy(self, key: str) -> ShelfCopy | None:
        """The look comes too late."""
        shutil.rmtree(self.folder(key), ignore_errors=True)
        return super().copy(key)


@pytest.mark.parametrize(("guards", "shelf"), [(DeletedFirst, Shelf), (Guards, DeletedAfterwards)])
def test_a_folder_that_is_taken_away_at_the_end(disk, record, guards, shelf):
    """The copying is refused with the folder and what to do; nothing is guarded, and the next one succeeds."""
    place, guarded, settings = open_place(disk, mount_bytes=MIB), guards(), RamDiskSettings(floor_gib=0.0)
    key = Source.of(record.file).key

    def stage(on: Shelf, guarded: Guards) -> ShelfCopy:
        return Staging(settings, on, guarded, lambda: Usage({}, frozenset())).stage(record.file, Progress())

    with pytest.raises(StagingRefused, match=f"{key}.* was taken away by somebody else; stage .*a.gguf again"):
        stage(shelf(place), guarded)

    assert not guarded.has(key)
    assert record.file.read_bytes() == stage(Shelf(place), Guards()).file.read_bytes()
