"""The `context` of `/api/generate`: a list of numbers in which a client carries the conversation along.

To clients it is opaque. Ollama puts token ids there, which mean nothing after a swap of the model; here it is the
conversation itself, as UTF-8 bytes of JSON, so it outlives swaps and restarts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from hoshikage import Message
from hoshikage.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Turn(msgspec.Struct, frozen=True):
    """What there is to carry of a message: this route has no tools, and nobody reads old thinking again."""

    role: Literal["system", "user", "assistant"]
    content: str


def write_context(messages: Sequence[Message], answer: str) -> list[int]:
    """The conversation with its newest answer."""
    turns = [{"role": m.role, "content": m.content} for m in messages]
    return list(msgspec.json.encode([*turns, {"role": "assistant", "content": answer}]))


def read_context(context: Sequence[int]) -> tuple[Message, ...]:
    """The conversation that `write_context` wrote; system messages are left to the new request.

    Raises:
        InvalidRequest: the numbers were not made by this server.
    """
    try:
        turns = msgspec.json.decode(bytes(context), type=list[_Turn])
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(
            "context: these numbers were not given out by this server; leave the field out to begin anew",
            param="context",
        ) from error
    return tuple(Message(turn.role, turn.content) for turn in turns if turn.role != "system")
