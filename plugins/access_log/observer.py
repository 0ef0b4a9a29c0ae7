"""The observer that writes the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from hoshikage import ChatRequest, Receipt

log = structlog.get_logger(__name__)


class AccessLog:
    """Logs `request_done` at info, and the texts at debug only."""

    name = "access_log"

    async def observe(self, request: ChatRequest, answer: str, receipt: Receipt) -> None:
        """See `Observer.observe`."""
        usage = receipt.usage
        log.info(
            "request_done",
            request_id=receipt.request_id,
            model=receipt.model,
            caller=receipt.caller.address,
            outcome=receipt.outcome,
            finish_reason=receipt.finish_reason,
            error_code=receipt.error_code,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            drafted_tokens=usage.drafted_tokens,
            accepted_tokens=usage.accepted_tokens,
            preemptions=usage.preemptions,
            recall_s=round(receipt.recall_s, 3),
            queue_s=round(receipt.queue_s, 3),
            load_s=round(receipt.load_s, 3),
            prefill_s=round(usage.prefill_s, 3),
            decode_s=round(usage.decode_s, 3),
            total_s=round(receipt.total_s, 3),
        )
        log.debug(
            "request_text",
            request_id=receipt.request_id,
            messages=[(m.role, m.content) for m in request.messages],
            prompt=request.prompt,
            answer=answer,
        )
