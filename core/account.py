"""What is known of a running request, until its receipt is written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hoshikage.core.contracts import Chunk, Done, Receipt, Started, Usage

if TYPE_CHECKING:
    from hoshikage.core.contracts import Caller, FinishReason, Outcome, RecalledItem, StreamEvent


@dataclass(slots=True)
class Account:
    """The times and counts of one request.

    Attributes:
        admitted: when its turn came, on the monotonic clock.
        loaded: when its model was ready.
        notes: what the reader of the receipt should know.
        recalled: the memories that went into the prompt.
        recall_s: how long they were looked for.
        texts: the text for the reader so far, without thinking and tool calls, of each answer.
        receipt: written at the end.
    """

    request_id: str
    model: str
    caller: Caller
    arrived_at: float = field(default_factory=time.time)
    arrived: float = field(default_factory=time.monotonic)
    admitted: float | None = None
    loaded: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    texts: dict[int, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    recalled: tuple[RecalledItem, ...] = ()
    recall_s: float = 0.0
    receipt: Receipt | None = None

    @property
    def answer(self) -> str:
        """The answer as observers get it; several ones with a blank line between them."""
        return "\n\n".join("".join(self.texts[index]) for index in sorted(self.texts))

    def note(self, event: StreamEvent) -> None:
        """Take down what an event adds."""
        match event:
            case Started():
                self.prompt_tokens = event.prompt_tokens
            case Chunk():
                self.texts.setdefault(event.index, []).append(event.text)
                self.completion_tokens += event.tokens
            case Done():
                pass

    def close(
        self,
        outcome: Outcome,
        *,
        usage: Usage | None = None,
        finish_reason: FinishReason | None = None,
        error_code: str | None = None,
    ) -> Receipt:
        """Write the receipt; without `usage`, with what was counted until now."""
        now = time.monotonic()
        admitted = self.admitted if self.admitted is not None else now
        loaded = self.loaded if self.loaded is not None else now
        self.receipt = Receipt(
            request_id=self.request_id,
            model=self.model,
            caller=self.caller,
            outcome=outcome,
            started_at=self.arrived_at,
            queue_s=max(admitted - self.arrived - self.recall_s, 0.0),
            load_s=max(loaded - admitted, 0.0),
            total_s=now - self.arrived,
            usage=usage if usage is not None else Usage(self.prompt_tokens, self.completion_tokens),
            finish_reason=finish_reason,
            error_code=error_code,
            notes=self.notes,
            recalled=self.recalled,
            recall_s=self.recall_s,
        )
        return self.receipt
