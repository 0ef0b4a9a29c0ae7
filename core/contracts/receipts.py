"""What a request cost and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hoshikage.core.contracts.chat import Caller, FinishReason, Usage

if TYPE_CHECKING:
    from hoshikage.core.contracts.memory import RecalledItem

Outcome = Literal["done", "error", "cancelled"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The account of one request; it holds no text of the prompt or the answer.

    Attributes:
        started_at: seconds since the epoch when the request reached the kernel.
        recall_s: seconds that long-term memory took to look for what fits; 0 without it.
        queue_s: seconds it waited for its turn.
        load_s: seconds it waited for the model to be loaded; 0 if it was.
        total_s: seconds from arrival to the end of the answer.
        error_code: the code of the error that ended it.
        recalled: the memories that went into the prompt, without their texts.
        notes: what a reader should know, e.g. why the model was loaded from disk.
    """

    request_id: str
    model: str
    caller: Caller
    outcome: Outcome
    started_at: float
    queue_s: float
    load_s: float
    total_s: float
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason | None = None
    error_code: str | None = None
    notes: tuple[str, ...] = ()
    recalled: tuple[RecalledItem, ...] = ()
    recall_s: float = 0.0
