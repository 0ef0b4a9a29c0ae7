"""What the rows of changing between models work with, besides what all rows do."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import is_alive
from benchmarks.swap.targets import BIG, GEMMA, SMOLLM2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contestants import Setup
    from benchmarks.rows.base import Surroundings

MEMINFO = Path("/proc/meminfo")
PREFIX = "hoshikage-bench-"
SPARE_RAM_BYTES = 256 * 2**20  # on the RAM disk, for what is saved of conversations


@dataclass(frozen=True, slots=True)
class Ground:
    """Files and places.

    Attributes:
        ram_folder: a folder of this run's own on a RAM disk; `None` where there is none.
        big: the generated file; it is made when its row begins.
        big_bytes: how large it is to be.
    """

    smollm2: Path
    gemma: Path
    big: Path
    big_bytes: int
    ram_folder: Path | None

    @property
    def small(self) -> dict[str, Path]:
        """The two models that are changed between, by the names that all contestants know."""
        return {SMOLLM2: self.smollm2, GEMMA: self.gemma}

    @property
    def large(self) -> dict[str, Path]:
        """The generated model alone."""
        return {BIG: self.big}

    def ram_free(self) -> int:
        """Bytes that the RAM disk can still take: its own limit and the memory that is left."""
        if self.ram_folder is None:
            return 0
        return min(shutil.disk_usage(self.ram_folder).free, available_bytes(MEMINFO.read_text()))

    def setup(self, around: Surroundings, name: str, *, n_ctx: int) -> Setup:
        """A setup with a folder of its own and few slots, as somebody has who changes between models."""
        return around.setup(name, n_parallel=4, n_ctx=n_ctx)

    def clear_ram(self) -> None:
        """Remove what the servers of earlier rows have left on the RAM disk."""
        for folder in self.ram_folder.iterdir() if self.ram_folder is not None else ():
            shutil.rmtree(folder)

    def ram_for(self, name: str) -> Path | None:
        """A folder on the RAM disk for one contestant; two servers never share one."""
        if self.ram_folder is None:
            return None
        folder = self.ram_folder / name
        folder.mkdir(exist_ok=True)
        return folder


def available_bytes(meminfo: str) -> int:
    """Memory that can be had without swapping, of what the kernel writes."""
    return next(int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemAvailable:"))


@contextlib.contextmanager
def ram_folder(where: Path) -> Iterator[Path | None]:
    """A folder on the RAM disk that is gone at the end; `None` where `where` is no folder to write in."""
    _remove_of_dead_runs(where)
    try:
        folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where)
    except OSError:
        yield None
        return
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_of_dead_runs(where: Path) -> None:
    """A run that was killed could not remove its folder, which holds memory until somebody does."""
    for folder in where.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
