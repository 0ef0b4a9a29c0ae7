"""What of long-term memory is the kernel's: who asks for it, and where it stands in a conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hoshikage.core.contracts import RecalledItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.contracts import Caller, Message, Recall

SUFFIX: Final = "+memory"


def with_block(messages: Sequence[Message], block: str) -> tuple[Message, ...]:
    """The conversation with the block just before the newest message of the user.

    Everything before it stays as it was, so that it need not be computed again. The block is put in front of the text
    of that message: many chat templates refuse a system message in the middle, or two of the user in a row.
    """
    newest = max((n for n, m in enumerate(messages) if m.role == "user"), default=None)
    if newest is None or not block:
        return tuple(messages)
    message = messages[newest]
    changed = replace(message, content=f"{block}\n\n{message.content}")
    return (*messages[:newest], changed, *messages[newest + 1 :])


def items_of(recall: Recall) -> tuple[RecalledItem, ...]:
    """What a receipt tells of a recall: no text."""
    return tuple(RecalledItem(item.memory.id, item.score, item.why) for item in recall.items)


def with_memory_by_name(model: str, caller: Caller) -> tuple[str, Caller]:
    """A model name that ends in `+memory` switches memory on, for clients that can set nothing else.

    What the request says of memory elsewhere wins.

    Returns:
        The name without it, and the caller as it is to be taken.
    """
    if not model.endswith(SUFFIX):
        return model, caller
    use = replace(caller.memory, mode=caller.memory.mode or "on")
    return model.removesuffix(SUFFIX), replace(caller, memory=use)
