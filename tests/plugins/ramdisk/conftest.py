"""A RAM disk, and stagers on it that are stopped at the end."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage.plugins.ramdisk.settings import RamDiskSettings
from hoshikage.plugins.ramdisk.stager import RamDisk
from tests.plugins.ramdisk.disks import MIB, model, ram_disk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from hoshikage import ModelRecord

GIB = 1 << 30


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A RAM disk of 64 MiB."""
    with ram_disk(tmp_path / "ram") as path:
        yield path


@pytest.fixture
def large_disk(tmp_path: Path) -> Iterator[Path]:
    """A RAM disk on which copying takes long enough to do something meanwhile."""
    with ram_disk(tmp_path / "large", size_bytes=GIB) as path:
        yield path


@pytest.fixture
def shm() -> Iterator[Path]:
    """A folder of this test on the tmpfs that every Linux has."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="hoshikage-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder of the sources, on the disk."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def record(models: Path) -> ModelRecord:
    """A model of 1 MiB."""
    return model(models / "a.gguf")


@pytest.fixture
async def stager_on(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[RamDisk]]]:
    """Builds and starts stagers; a size is in MiB and may be all that the RAM disk has."""
    started: list[RamDisk] = []

    async def start(path: Path | None, *, size_mib: float = 64, clock: Any = None, **settings: Any) -> RamDisk:
        section = RamDiskSettings(size_gib=size_mib * MIB / GIB, **{"floor_gib": 0.0, **settings})
        more = {} if clock is None else {"clock": clock}
        stager = RamDisk(section, path=path, pins_file=tmp_path / "pins.json", **more)
        started.append(stager)
        await stager.start()
        return stager

    yield start
    for stager in started:
        await stager.stop()


@pytest.fixture
async def stager(disk: Path, stager_on: Callable[..., Awaitable[RamDisk]]) -> RamDisk:
    """A stager on the RAM disk."""
    return await stager_on(disk)
