"""What would happen if a model were loaded now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hoshikage.core.contracts.engines import MemoryNeed

Tier = Literal["loaded", "staged", "disk"]


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """What loading a model would take, and who would have to leave.

    Attributes:
        context_length: tokens that the context would hold; 0 is what the settings say.
        parallel: requests at once that share it.
        tier: where the model is now.
        fits: whether it can be loaded at all, whoever leaves.
        starts_at_once: whether it could begin without waiting for anybody.
        need: the memory it takes.
        free_ram_bytes: what could be taken now; `None` is without bound.
        free_vram_bytes: the same on the GPUs; `None` where there is no card.
        missing_ram_bytes: what is missing, even if everybody left who can.
        missing_vram_bytes: the same on the GPUs.
        evicts: who would leave, by name.
        waits_for: models with running requests that would have to end first.
        expected_s: seconds until it could answer, waiting not counted.
        advice: what to do, in sentences.
    """

    model: str
    context_length: int
    parallel: int
    tier: Tier
    fits: bool
    starts_at_once: bool
    need: MemoryNeed = field(default_factory=MemoryNeed)
    free_ram_bytes: int | None = None
    free_vram_bytes: int | None = None
    missing_ram_bytes: int = 0
    missing_vram_bytes: int = 0
    evicts: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    expected_s: float = 0.0
    advice: tuple[str, ...] = ()
