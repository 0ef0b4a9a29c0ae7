"""What this process takes of main memory, as the kernel counts it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hoshikage.plugins.engine_llamacpp.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers

KIB: Final = 1 << 10
STATUS: Final = Path("/proc/self/status")
COUNT: Final = re.compile(r"^(RssAnon|RssFile|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)


def measure(buffers: Sequence[Buffers], status: Path = STATUS) -> Usage:
    """What this process takes now.

    The kernel's list of single mappings (`smaps`) would tell the model's pages from those of the libraries, but it
    takes some 30 ms, for which a load would wait; its totals take none. llama.cpp says how much it has mapped, all of
    which it reads at once.

    Args:
        buffers: what llama.cpp said of the model, and of its draft model where there is one.
        status: the kernel's totals.
    """
    pages = _pages(status)
    files = pages.get("RssFile", 0) + pages.get("RssShmem", 0)  # a model on a RAM disk is shared memory
    mapped = min(sum(b.mapped_bytes for b in buffers), files)
    return Usage(
        mapped_bytes=mapped,
        anonymous_bytes=pages.get("RssAnon", 0) + pages.get("VmSwap", 0),
        library_bytes=files - mapped,
        weights_bytes=sum(b.weights_bytes for b in buffers),
        context_bytes=sum(b.context_bytes for b in buffers),
        compute_bytes=sum(b.compute_bytes for b in buffers),
        vram_bytes=sum(b.vram_bytes for b in buffers),
    )


def _pages(status: Path) -> dict[str, int]:
    """The totals by name, in bytes; none where the system does not tell."""
    try:
        text = status.read_text()
    except OSError:  # no Linux
        return {}
    return {name: int(count) * KIB for name, count in COUNT.findall(text)}
