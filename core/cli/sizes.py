"""Numbers of bytes as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes with a fitting unit; nothing for none."""
    if not count:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
