"""What a process takes of main memory, mapping by mapping: the judge of what is predicted and measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

KIB: Final = 1 << 10
# E.g. `7f2c4a000000-7f2c4a100000 r--s 00000000 fe:01 42    /models/a b.gguf (deleted)`.
MAPPING: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)")
COUNT: Final = re.compile(r"(Rss|Anonymous|Swap):\s+(\d+) kB")
DELETED: Final = " (deleted)"
PART: Final = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")


@dataclass(slots=True)
class Resident:
    """Pages of a process, in bytes."""

    mapped_bytes: int = 0
    anonymous_bytes: int = 0
    library_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of them."""
        return self.mapped_bytes + self.anonymous_bytes + self.library_bytes


def resident_of(files: Iterable[str], pid: int | None = None) -> Resident:
    """The pages of a process, this one by default; all zero where the system does not tell."""
    names = {_stem(str(Path(file).resolve())) for file in files}
    try:
        with Path(f"/proc/{pid or 'self'}/smaps").open(encoding="utf-8", errors="surrogateescape") as lines:
            return count_pages(lines, names)
    except OSError:  # no Linux, or the process is gone or another user's
        return Resident()


def count_pages(lines: Iterable[str], names: set[str]) -> Resident:
    """Add up the lines of `smaps`; a file on a RAM disk is a file like any other there."""
    resident = Resident()
    is_model = False
    for line in lines:
        if found := COUNT.match(line):
            _count(resident, found[1], int(found[2]) * KIB, is_model=is_model)
        elif found := MAPPING.match(line):
            is_model = _stem(found[1].rstrip("\n").removesuffix(DELETED)) in names
    return resident


def _count(resident: Resident, what: str, size: int, *, is_model: bool) -> None:
    """Take one number into account; anonymous pages of a file are those that the process has changed."""
    if is_model:
        resident.mapped_bytes += -size if what == "Anonymous" else size
    elif what == "Rss":
        resident.library_bytes += size
    elif what == "Anonymous":
        resident.library_bytes -= size
    if what == "Anonymous" or (what == "Swap" and not is_model):
        resident.anonymous_bytes += size


def _stem(name: str) -> str:
    """The same for all parts of a split model."""
    return PART.sub(r"-of-\1.gguf", name)
