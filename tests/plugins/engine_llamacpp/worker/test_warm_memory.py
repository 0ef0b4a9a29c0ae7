"""Memory that is touched before a model comes. Each case has a process of its own: it changes how that allocates."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIB = 1 << 20
SIZE = 48 * MIB
SLACK = 6 * MIB
START = f"""
import ctypes, re, resource
from hoshikage.plugins.engine_llamacpp.worker.warm_memory import WarmMemory, give_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
memory, before = WarmMemory({SIZE}), resident()
"""


@pytest.fixture(autouse=True)
def linux() -> None:
    """Elsewhere nothing is done, and nothing can be counted."""
    if sys.platform != "linux":
        pytest.skip("only Linux counts the pages of a process in /proc")


def figures(program: str) -> list[int]:
    """What the program prints, after `START`."""
    done = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def test_touched_memory_is_there():
    """Touching brings the pages; releasing keeps them for who allocates next."""
    touched, released = figures(
        "memory.reserve(); memory.touch(); print(resident() - before); memory.release(); print(resident() - before)"
    )

    assert (pytest.approx(SIZE, abs=SLACK),) * 2 == (touched, released)


def test_the_next_buffer_waits_for_no_page():
    """A buffer of the load is made of what was touched: no page of it has to be brought."""
    cold, warm = figures(
        f"""
def fill():
    first = faults()
    libc.memset(libc.malloc({SIZE // 2}), 1, {SIZE // 2})
    return faults() - first
print(fill()); memory.reserve(); memory.touch(); memory.release(); print(fill())
"""
    )

    assert cold > 10 * (warm + 1)


def test_what_is_left_over_goes_back():
    """Once the model is loaded, what it did not need is the system's again; what it took stays whole."""
    settled, values = figures(
        f"""
memory.reserve(); memory.touch(); memory.release()
buffer = libc.malloc({SIZE // 4}); libc.memset(buffer, 7, {SIZE // 4})
memory.settle(); print(resident() - before); print(len(set(ctypes.string_at(buffer, {SIZE // 4}))))
"""
    )

    assert (pytest.approx(SIZE // 4, abs=SLACK), 1) == (settled, values)


def test_a_context_that_is_freed_later_goes_back():
    """What was allocated during the load and is freed later stays nobody's property."""
    (left,) = figures(
        f"""
memory.reserve(); memory.touch(); memory.release()
old = libc.malloc({SIZE // 2}); libc.memset(old, 1, {SIZE // 2})
keep = libc.malloc(4096)  # above it in the heap
memory.settle(); libc.free(old); give_back(); print(resident() - before)
"""
    )

    assert left < SLACK


def test_without_getting_ready_nothing_changes():
    """A worker that starts for its model at once has nothing to settle."""
    (left,) = figures("memory.touch(); memory.release(); memory.settle(); print(resident() - before)")

    assert left < SLACK
