"""How much memory loaded models may still take: what the machine has, less what must stay free."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage.core.memory import measure_main_memory
from hoshikage.core.vram import gpu_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hoshikage.core.contracts import MemoryNeed
    from hoshikage.core.memory import MainMemory
    from hoshikage.core.settings import ResidencySettings
    from hoshikage.core.vram import GpuMemory

GIB = 1 << 30
LEAST_FLOOR_BYTES = 256 << 20
GPUS_KEPT_S = 1.0
FLOOR_SHARE = 20  # one twentieth of what there is stays free, so that the machine does not begin to swap


@dataclass(frozen=True, slots=True)
class Free:
    """What could be taken now; `None` is without bound."""

    ram_bytes: int | None
    vram_bytes: int | None


@dataclass(slots=True)
class Budget:
    """Measures what is free; where the settings say how much there may be, the smaller of both counts."""

    settings: ResidencySettings
    measure_ram: Callable[[], MainMemory] = measure_main_memory
    measure_gpus: Callable[[], Sequence[GpuMemory]] = gpu_memory
    _gpus: Sequence[GpuMemory] = ()
    _gpus_until: float = 0.0

    def free(self, *, mapped_bytes: int, expected: Sequence[MemoryNeed], loaded: Sequence[MemoryNeed]) -> Free:
        """What could be taken now.

        Args:
            mapped_bytes: of what is measured as available, so much is in use by loaded models.
            expected: what models that are being loaded are going to take.
            loaded: everything that is loaded or being loaded.
        """
        memory = self.measure_ram()
        floor = max(memory.total_bytes // FLOOR_SHARE, LEAST_FLOOR_BYTES)
        ram = memory.available_bytes - mapped_bytes - sum(n.ram_bytes for n in expected) - floor
        if self.settings.memory_gib:
            ram = min(ram, int(self.settings.memory_gib * GIB) - sum(n.ram_bytes for n in loaded))
        return Free(max(ram, 0), self._free_vram(expected, loaded))

    def _free_vram(self, expected: Sequence[MemoryNeed], loaded: Sequence[MemoryNeed]) -> int | None:
        gpus = self._gpus_lately()
        if not gpus:
            return None  # no card: nothing of a model is put there
        vram = sum(gpu.free_bytes for gpu in gpus) - sum(n.vram_bytes for n in expected)
        vram -= int(self.settings.vram_floor_gib * GIB)
        if self.settings.vram_gib:
            vram = min(vram, int(self.settings.vram_gib * GIB) - sum(n.vram_bytes for n in loaded))
        return max(vram, 0)

    def _gpus_lately(self) -> Sequence[GpuMemory]:
        """The GPUs as they were within the last second: asking the driver takes milliseconds of the event loop."""
        if time.monotonic() >= self._gpus_until:
            self._gpus = self.measure_gpus()
            self._gpus_until = time.monotonic() + GPUS_KEPT_S
        return self._gpus
