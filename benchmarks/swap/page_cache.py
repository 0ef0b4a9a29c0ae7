"""What of a file the kernel holds in memory, and how to make it hold all or nothing of it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np

PAGE = mmap.PAGESIZE
STEP = 8 * 2**20
COLD_SHARE, WARM_SHARE = 0.01, 0.99
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class CacheStays(Exception):
    """The kernel does not do with the file's pages what it was asked."""


def resident_share(file: Path) -> float:
    """The share of a file's pages that are in the page cache."""
    if not file.stat().st_size:
        return 1.0
    mapped = np.memmap(file, dtype=np.uint8, mode="r")
    pages = -(-mapped.nbytes // PAGE)
    seen = np.zeros(pages, dtype=np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    address, out = ctypes.c_void_p(mapped.ctypes.data), ctypes.c_void_p(seen.ctypes.data)
    if libc.mincore(address, ctypes.c_size_t(mapped.nbytes), out) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(file))
    return float((seen & 1).mean())


def drop(file: Path) -> None:
    """Have the kernel forget a file: only its own pages if that works, else all pages, where we may.

    Raises:
        CacheStays: pages of it are still there, e.g. because a process has them mapped.
    """
    with file.open("rb") as opened:
        os.fsync(opened.fileno())  # pages that are not written yet would stay
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident_share(file) > COLD_SHARE:
        with contextlib.suppress(OSError):  # in most containers nobody may
            DROP_CACHES.write_text("1")
    if (share := resident_share(file)) > COLD_SHARE:
        raise CacheStays(f"{share:.0%} of {file.name} stay in the page cache")


def warm(file: Path) -> None:
    """Have the kernel hold a whole file.

    Raises:
        CacheStays: it does not, because there is too little memory.
    """
    read_through(file)
    if (share := resident_share(file)) < WARM_SHARE:
        raise CacheStays(f"only {share:.0%} of {file.name} stay in the page cache")


def read_through(file: Path) -> float:
    """Read a file from its beginning to its end. Returns bytes per second."""
    buffer = bytearray(STEP)
    total, began = 0, time.monotonic()
    with file.open("rb", buffering=0) as opened:
        while count := opened.readinto(buffer):
            total += count
    return total / max(time.monotonic() - began, 1e-9)
