"""What a request needs of a model, before it is queued."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage.core.contracts import MemoryNeed
from hoshikage.core.errors import InsufficientMemory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.contracts import ModelRecord
    from hoshikage.core.residency import Room


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request needs: a model, a context for it, and the memory for both.

    Attributes:
        context_length: tokens; 0 leaves it to the settings.
    """

    record: ModelRecord
    context_length: int = 0
    need: MemoryNeed = field(default_factory=MemoryNeed)


def own_context(record: ModelRecord) -> int:
    """The `num_ctx` that the model brings; 0 where it brings none."""
    own = record.parameters.get("num_ctx")
    return own if isinstance(own, int) and own > 0 else 0


def refusal(demand: Demand, room: Room, pinned: Sequence[str]) -> InsufficientMemory:
    """The error that says what is missing for a demand, in bytes.

    Args:
        demand: what was asked for.
        room: what the decision found missing.
        pinned: names of the loaded models that do not leave.
    """
    need, missing = demand.need, room.missing_ram_bytes or room.missing_vram_bytes
    among = f" (pinned: {', '.join(pinned)})" if pinned else ""
    where = "main memory" if room.missing_ram_bytes else "GPU memory"
    return InsufficientMemory(
        f"model {demand.record.name!r} does not fit: it takes {need.weights_bytes} bytes of weights, "
        f"{need.context_bytes} of context, {need.other_bytes} besides and {need.vram_bytes} on GPUs; even if every "
        f"model that is not pinned left, {missing} bytes of {where} would be missing; ask for a smaller "
        "num_ctx, choose a smaller quantisation, or free memory" + among,
        param="model",
        details={"missing_bytes": missing, "needed_bytes": need.total_bytes},
    )
