"""How much memory the GPUs have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card."""

    free_bytes: int


def measure_vram() -> tuple[Gpu, ...]:
    """None."""
    return ()
