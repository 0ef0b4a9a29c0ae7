"""What of a request and its answer is a turn to remember."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hoshikage import Memory
from hoshikage.plugins.memory.block import without_blocks

if TYPE_CHECKING:
    from hoshikage import Caller, ChatRequest, Receipt


def newest_question(request: ChatRequest) -> str:
    """The newest message of the user; empty where there is none."""
    newest = next((m for m in reversed(request.messages) if m.role == "user"), None)
    return newest.content if newest is not None else ""


def session_of(request: ChatRequest, caller: Caller) -> str:
    """The conversation: as the client names it, or known by its beginning, which every later request repeats."""
    if caller.memory.session:
        return caller.memory.session
    first = next((m for m in request.messages if m.role == "user"), None)
    return hashlib.sha256(first.content.encode("utf-8", "replace")).hexdigest()[:16] if first is not None else ""


def said_in(request: ChatRequest, answer: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Who said what last: the user and the assistant, each without blocks of memories that it repeats."""
    return ("user", without_blocks(newest_question(request))), ("assistant", without_blocks(answer))


def turn_of(request: ChatRequest, answer: str, receipt: Receipt, *, longest: int) -> list[Memory]:
    """What the user said last, and what was answered; longer texts than allowed are left out."""
    session = session_of(request, receipt.caller)
    return [
        Memory("", text, receipt.started_at, role, "turn", session, request.request_id)
        for role, text in said_in(request, answer)
        if text.strip() and len(text) <= longest
    ]
