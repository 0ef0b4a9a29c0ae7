"""What of long-term memory is the kernel's: who asks for it, and where it stands in a conversation."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hoshikage.core.contracts import RecalledItem
from hoshikage.core.errors import ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hoshikage.core.contracts import Caller, Message, ModelRecord, Recall

NO_MEMORY: Final = "there is no memory: no plug-in offers it; `hoshikage doctor` says what is missing"
# At the end of a name, or before its tag: many clients put `:latest` behind every name that has none.
_SUFFIX: Final = re.compile(r"\+memory(?=(?::[^/:]*)?\Z)", re.IGNORECASE)


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


def model_by_name(name: str, find: Callable[[str], ModelRecord]) -> tuple[ModelRecord, bool]:
    """Find a model, also by its name with `+memory`, which clients that can set nothing else switch memory on by.

    Args:
        name: as the client gives it.
        find: the model that a name means; raises `ModelNotFound`.

    Returns:
        The model, and whether the name switches memory on. One that is itself called so is meant first, and does not.

    Raises:
        ModelNotFound: neither is there.
    """
    try:
        return find(name), False
    except ModelNotFound:
        without = _SUFFIX.sub("", name)
        if without == name:
            raise
    try:
        return find(without), True
    except ModelNotFound:
        raise ModelNotFound(name) from None


def switched_on(caller: Caller) -> Caller:
    """The caller of a model whose name switches memory on; what the request says of it elsewhere wins."""
    return replace(caller, memory=replace(caller.memory, mode=caller.memory.mode or "on"))
