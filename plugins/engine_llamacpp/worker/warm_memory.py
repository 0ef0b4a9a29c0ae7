"""Memory that a spare worker has touched before its model comes, so that the load does not wait for page faults.

The kernel gives memory page by page, when it is first touched: for 100 MB of a KV cache about 0.1 s of each load. A
spare worker has the time for that beforehand. What it touched stays in glibc's heap, and the next large allocations,
the KV cache among them, come from there. Elsewhere than with glibc nothing is done.
"""

from __future__ import annotations

import ctypes
from typing import Any

# What even a small model touches while it is loaded, so that nothing of it is held in vain.
WARM_BYTES = 96 << 20
# Names and defaults of malloc.h.
M_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD = -1, 128 << 10
M_MMAP_MAX, DEFAULT_MMAP_MAX = -4, 65_536
NEVER_TRIM = (1 << 31) - 1


class WarmMemory:
    """The memory of one process; used by one thread at a time: `reserve`, `touch`, `release`, load, `settle`.

    Args:
        size: bytes.
    """

    def __init__(self, size: int = WARM_BYTES) -> None:
        self._size = size
        self._libc = _glibc()
        self._block: int | None = None

    def reserve(self) -> None:
        """Take it from the heap, and have all large allocations come from there from now on."""
        if self._libc is None:
            return
        self._libc.mallopt(M_MMAP_MAX, 0)
        self._libc.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
        self._block = self._libc.malloc(self._size)

    def touch(self) -> None:
        """Have the kernel give it; takes about 1 ms per MB, and lets other threads run."""
        if self._libc is not None and self._block:
            self._libc.memset(self._block, 1, self._size)

    def release(self) -> None:
        """Give it back to the heap, where it stays for who allocates next."""
        if self._libc is not None and self._block:
            self._libc.free(self._block)
            self._block = None

    def settle(self) -> None:
        """The model is loaded: large allocations are the kernel's again, and what is left over goes back to it."""
        if self._libc is None:
            return
        self._libc.mallopt(M_MMAP_MAX, DEFAULT_MMAP_MAX)
        self._libc.mallopt(M_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
        give_back()


def give_back() -> None:
    """Return to the kernel what lies free in the heap; a context that was freed there is nobody's otherwise."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library, or `None` where it is another one."""
    libc = ctypes.CDLL(None)
    if not all(hasattr(libc, name) for name in ("mallopt", "malloc_trim", "gnu_get_libc_version")):
        return None
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.memset.restype, libc.memset.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    return libc
