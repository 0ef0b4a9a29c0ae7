"""A quick fingerprint of a model's content, for what must be known of a file before all of it has been read."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from hoshikage.core.gguf import parts_of

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS: Final = 64
BLOCK_BYTES: Final = 64 << 10


def fingerprint_of(file: Path) -> str:
    """SHA-256 over the size and evenly spaced blocks of every part, as 64 hex digits.

    The whole digest takes seconds for a large file, and is not known at the first load. Weights that differ, differ all
    over the file; two files of one size that are equal in all of these blocks are one model.

    Raises:
        OSError: a part cannot be read.
    """
    digest = hashlib.sha256()
    for part in parts_of(file):
        with part.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            digest.update(size.to_bytes(8, "little"))
            for offset in _offsets(size):
                digest.update(os.pread(stream.fileno(), BLOCK_BYTES, offset))
    return digest.hexdigest()


def _offsets(size: int) -> list[int]:
    """Where the blocks begin: the first at the beginning, the last at the end."""
    last = max(size - BLOCK_BYTES, 0)
    return sorted({last * number // (BLOCKS - 1) for number in range(BLOCKS)})
