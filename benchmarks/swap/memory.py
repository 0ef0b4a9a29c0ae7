"""How much memory a process takes, as the kernel counts it page by page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in main memory.

    Attributes:
        rss: every page that is there, shared ones whole.
        pss: shared pages divided by those who share them.
    """

    rss: int
    pss: int


def memory_of(pid: int) -> Memory:
    """Look at a process.

    Raises:
        OSError: it is gone, or is somebody else's.
    """
    return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())


def parse_rollup(text: str) -> Memory:
    """Read what the kernel writes: a line for each kind, in KiB.

    Raises:
        OSError: the process has no memory any more.
    """
    found = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.endswith(" kB")}
    try:
        return Memory(int(found["Rss"]) * 1024, int(found["Pss"]) * 1024)
    except KeyError as error:
        raise OSError(f"the process has no memory: {text[:80]!r}") from error
