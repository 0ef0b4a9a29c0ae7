"""A request filter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage import Caller, ChatRequest, ModelRecord


class PoliteFilter:
    """Puts a word before the last message, for the parrot alone."""

    name = "polite"
    order = 50

    async def apply(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        if record.engine != "parrot" or not request.messages:
            return request
        *earlier, last = request.messages
        return replace(request, messages=(*earlier, replace(last, content=f"please: {last.content}")))
