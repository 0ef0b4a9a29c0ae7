"""Main memory: the machine's, within the limits of control groups, on made trees and on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hoshikage.core.memory import MainMemory, measure_main_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MIB = 1 << 20
UNLIMITED_V1 = 9223372036854771712
MEMINFO = "MemTotal: 8192 kB\nMemFree: 1024 kB\nMemAvailable: 4096 kB\nCached: 2048 kB\nHugePages_Total: 0\n"
MACHINE = MainMemory(8 * MIB, 4 * MIB)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, str | int]], Path]:
    """Makes a root with the given files; `/proc/meminfo` is there."""

    def make(files: Mapping[str, str | int]) -> Path:
        for name, content in {"proc/meminfo": MEMINFO, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{content}\n")
        return tmp_path

    return make


def v1(limit: int, used: int, *, cache: int = 0, folder: str = "") -> dict[str, str | int]:
    """The files of a group of version 1."""
    base = f"sys/fs/cgroup/memory/{folder}"
    return {
        f"{base}memory.limit_in_bytes": limit,
        f"{base}memory.usage_in_bytes": used,
        f"{base}memory.stat": f"cache 999\ntotal_inactive_file {cache}\ntotal_active_file 0\ntotal_shmem 77",
    }


def v2(
    limit: int | str, used: int, *, cache: int = 0, high: int | str = "max", folder: str = ""
) -> dict[str, str | int]:
    """The files of a group of version 2."""
    base = f"sys/fs/cgroup/{folder}"
    return {
        f"{base}memory.max": limit,
        f"{base}memory.high": high,
        f"{base}memory.current": used,
        f"{base}memory.stat": f"anon 5\nfile 999\nshmem 77\ninactive_file {cache}\nactive_file 0\nslab_reclaimable 0",
    }


def test_without_groups_it_is_the_machines(tree):
    """Without control groups, total and available are what the kernel says of the machine."""
    assert MACHINE == measure_main_memory(tree({}))


def test_old_kernels_do_not_say_what_is_available(tree):
    """Without `MemAvailable`, free memory and page cache stand in for it."""
    assert MainMemory(8 * MIB, 3 * MIB) == measure_main_memory(
        tree({"proc/meminfo": "MemTotal: 8192 kB\nMemFree: 1024 kB\nCached: 2048 kB"})
    )


def test_group_limit_v1(tree):
    """A limit bounds the total; what is used of it bounds what is available."""
    files = {"proc/self/cgroup": "4:memory:/a\n1:cpu:/", **v1(3 * MIB, MIB, folder="a/")}

    assert MainMemory(3 * MIB, 2 * MIB) == measure_main_memory(tree(files))


def test_group_limit_v2(tree):
    """Likewise in version 2."""
    files = {"proc/self/cgroup": "0::/a", **v2(3 * MIB, MIB, folder="a/")}

    assert MainMemory(3 * MIB, 2 * MIB) == measure_main_memory(tree(files))


@pytest.mark.parametrize("group", [v1, v2])
def test_page_cache_counts_as_free(tree, group):
    """Page cache is given back when memory is short, so it is available; a tmpfs is not."""
    assert MainMemory(3 * MIB, MIB + 512) == measure_main_memory(tree(group(3 * MIB, 2 * MIB, cache=512)))


@pytest.mark.parametrize("files", [v1(UNLIMITED_V1, 5 * MIB), v2("max", 5 * MIB)])
def test_a_group_without_a_limit_bounds_nothing(tree, files):
    """What such a group uses does not matter."""
    assert MACHINE == measure_main_memory(tree(files))


def test_limit_of_a_group_above(tree):
    """A group within a limited one is limited as well."""
    inner = v2("max", MIB, folder="outer/inner/")
    files = {"proc/self/cgroup": "0::/outer/inner", **inner, **v2(2 * MIB, MIB, folder="outer/")}

    assert MainMemory(2 * MIB, MIB) == measure_main_memory(tree(files))


def test_a_container_sees_its_group_as_the_topmost(tree):
    """The path in `/proc` may be the host's, where the container sees nothing: the topmost group is its own."""
    files = {"proc/self/cgroup": "4:memory:/docker/abc", **v1(2 * MIB, MIB)}

    assert MainMemory(2 * MIB, MIB) == measure_main_memory(tree(files))


def test_slowing_limit_counts(tree):
    """Above `memory.high` the kernel slows the group, so it is a limit."""
    assert MainMemory(2 * MIB, MIB) == measure_main_memory(tree(v2("max", MIB, high=2 * MIB)))


def test_over_the_limit_nothing_is_available(tree):
    """A group over its limit has 0 bytes, not fewer."""
    assert MainMemory(MIB, 0) == measure_main_memory(tree(v1(MIB, 2 * MIB)))


def test_version_2_beside_version_1(tree):
    """Where both are mounted, the narrower one counts."""
    files = {**v1(3 * MIB, 0), "sys/fs/cgroup/unified/memory.max": 2 * MIB, "sys/fs/cgroup/unified/memory.current": 0}

    assert MainMemory(2 * MIB, 2 * MIB) == measure_main_memory(tree(files))


def test_a_path_out_of_the_tree_is_not_followed(tree, tmp_path):
    """A group outside of the namespace is shown with `..`; what can be seen is used."""
    files = {"proc/self/cgroup": "0::/../../else", **v2(2 * MIB, MIB)}

    assert MainMemory(2 * MIB, MIB) == measure_main_memory(tree(files))


def test_no_linux(tmp_path):
    """Without `/proc` the total comes from the C library."""
    memory = measure_main_memory(tmp_path)

    assert memory.total_bytes == memory.available_bytes > MIB


def test_this_machine():
    """Here there is memory, and not more available than there is."""
    memory = measure_main_memory()

    assert 0 < memory.available_bytes <= memory.total_bytes
