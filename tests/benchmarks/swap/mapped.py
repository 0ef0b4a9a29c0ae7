"""A file in the memory of a process."""

from __future__ import annotations

import contextlib
import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def mapped(file: Path) -> Iterator[None]:
    """Map every page of a file, and use it."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        assert memory[:: mmap.PAGESIZE]
        yield
