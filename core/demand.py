"""What a request needs of a model, before it is queued."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage.core.contracts import MemoryNeed

if TYPE_CHECKING:
    from hoshikage.core.contracts import ModelRecord


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
