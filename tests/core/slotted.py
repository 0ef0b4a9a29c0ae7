"""Small things that the tests of slots share."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from hoshikage import ModelRecord
from hoshikage.core.slots import ModelSlot
from tests.fakes import FakeModel

RECORD = ModelRecord("gemma", engine="fake")
ON_DISK = replace(RECORD, file=Path("/models/gemma.gguf"), size_bytes=100)
# A stop that hangs is cut off; one that works takes no time at all.
STOP_LIMIT_S = 2.0
TURNS = 20  # of the loop, in which everything happens that can happen by itself


async def used(slot: ModelSlot, keep_alive_s: float | None = None) -> FakeModel:
    """Lease, load, release; returns the model."""
    lease = slot.lease()
    model = await lease.model()
    lease.release(keep_alive_s)
    return model


async def turns(count: int = TURNS) -> None:
    """Let everything happen that can happen by itself."""
    for _ in range(count):
        await asyncio.sleep(0)
