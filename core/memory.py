"""How much main memory this process may still take: the machine's, within the limits of its control groups."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUPS = Path("sys/fs/cgroup")
V1_FOLDER = CGROUPS / "memory"
# Some systems mount version 2 beside version 1.
V2_FOLDERS = (CGROUPS, CGROUPS / "unified")
_FIELD = re.compile(r"^(\w+)[: ]\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MainMemory:
    """Main memory as this process sees it.

    Attributes:
        total_bytes: of the machine, or of the narrowest control group that this process is in.
        available_bytes: what could be taken without swapping; page cache that can be given back counts as free.
    """

    total_bytes: int
    available_bytes: int


def measure_main_memory(root: Path = Path("/")) -> MainMemory:
    """Measure main memory now.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    memory = _machine(root)
    for group in (*_groups_v1(root), *_groups_v2(root)):
        memory = MainMemory(
            min(memory.total_bytes, group.total_bytes), min(memory.available_bytes, group.available_bytes)
        )
    return MainMemory(memory.total_bytes, max(0, memory.available_bytes))


def _machine(root: Path) -> MainMemory:
    fields = _fields(root / "proc/meminfo")
    if "MemTotal" not in fields:  # no Linux
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        return MainMemory(page * pages, page * pages)
    # Kernels before 3.14 do not say what is available.
    available = fields.get("MemAvailable", fields.get("MemFree", 0) + fields.get("Cached", 0))
    return MainMemory(fields["MemTotal"] * 1024, available * 1024)


def _groups_v1(root: Path) -> Iterator[MainMemory]:
    for folder in _ancestors(root / V1_FOLDER, _group_path(root, controller="memory")):
        limit, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            stat = _fields(folder / "memory.stat")
            cache = stat.get("total_inactive_file", 0) + stat.get("total_active_file", 0)
            yield MainMemory(limit, limit - used + min(cache, used))


def _groups_v2(root: Path) -> Iterator[MainMemory]:
    path = _group_path(root, controller="")
    for folder in (folder for mount in V2_FOLDERS for folder in _ancestors(root / mount, path)):
        # Above `high` the kernel slows the whole group down, so it is a limit as well.
        limits = [n for name in ("memory.max", "memory.high") if (n := _number(folder / name)) is not None]
        used = _number(folder / "memory.current")
        if limits and used is not None:
            stat = _fields(folder / "memory.stat")
            # Files on a tmpfs are `shmem`, which is on neither of these two lists.
            cache = stat.get("inactive_file", 0) + stat.get("active_file", 0) + stat.get("slab_reclaimable", 0)
            yield MainMemory(min(limits), min(limits) - used + min(cache, used))


def _group_path(root: Path, *, controller: str) -> str:
    """The path of this process's group; version 2 has no controller in its line."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return "/"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def _ancestors(mount: Path, path: str) -> Iterator[Path]:
    """The group and all above it, as far as they are visible: a container often sees its own as the topmost."""
    parts = [part for part in path.split("/") if part not in {"", ".."}]
    for count in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def _number(file: Path) -> int | None:
    """The number in a file; `None` for `max`, or where there is no such file."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _fields(file: Path) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in _FIELD.findall(file.read_text())}
    except OSError:
        return {}
