"""Where the engine saves conversations, and what may be restored into what."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hoshikage.plugins.engine_llamacpp.settings import StateSettings

GIB = 1 << 30
KEY_CHARS = 32


@dataclass(slots=True)
class StatePlaces:
    """The folders of all workers.

    Attributes:
        disk: the last resort, and what outlives a stop of the machine.
    """

    settings: StateSettings
    disk: Path

    def store(self, fingerprint: str, init: frames.Init, fast: Iterable[Path]) -> frames.StateStore:
        """What a worker is told; the fingerprint is that of the model's content."""
        return frames.StateStore(
            key=state_key(fingerprint, init),
            folders=[*(str(folder) for folder in fast), str(self.disk)],
            fast_bytes=int(self.settings.fast_gib * GIB),
            disk_bytes=int(self.settings.size_gib * GIB),
            interval_s=self.settings.interval_s,
            min_tokens=self.settings.min_tokens,
        )

    async def move_to_disk(self, fast: Iterable[Path]) -> None:
        """Bring what lies beside staged models to the disk, before that place is given back."""
        for folder in fast:
            await asyncio.to_thread(_move_all, folder, self.disk, int(self.settings.size_gib * GIB))


def state_key(fingerprint: str, init: frames.Init) -> str:
    """What must be equal for a saved memory to mean the same: the weights, the program, the form of the cache."""
    parts = (
        fingerprint,
        importlib.metadata.version("llama-cpp-python"),
        *(init.cache_type_k, init.cache_type_v, init.flash_attention, str(init.n_gpu_layers)),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_CHARS]


def _move_all(folder: Path, disk: Path, limit_bytes: int) -> None:
    from hoshikage.plugins.engine_llamacpp.worker.saved_states import make_room, move
    from hoshikage.plugins.engine_llamacpp.worker.state_file import SUFFIX

    for file in folder.glob(f"*/*{SUFFIX}"):
        move(file, disk / file.parent.name)
    make_room(disk, limit_bytes)
