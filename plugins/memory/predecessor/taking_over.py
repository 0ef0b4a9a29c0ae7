"""Taking in the predecessor's conversations, beside everything else: each once, however often the server starts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from hoshikage.core.errors import HoshikageError
from hoshikage.plugins.memory.predecessor.database import LOCAL_OWNER, fingerprint, read_predecessor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hoshikage import Memory
    from hoshikage.plugins.memory.database import Database
    from hoshikage.plugins.memory.embedding.work import Write

log = structlog.get_logger(__name__)

BATCH: Final = 500


async def take_over(folder: Path, scratch: Path, refuse: Callable[[str], str], write: Write) -> int:
    """Read the predecessor's database and write down what is new; says in the log how many, and what was left out.

    Args:
        folder: see `read_predecessor`, as for the next two.
        scratch: see there.
        refuse: see there.
        write: runs a call in the thread that writes.

    Returns:
        How many memories are new.
    """
    state = fingerprint(folder)
    known = await write(lambda database: database.imported.known([state]))
    if not state or known:
        return 0
    try:
        found = await asyncio.to_thread(read_predecessor, folder, scratch, refuse)
        new = 0
        for part in _parts(found.memories):
            new += await write(partial(_take, part=part))
        await write(lambda database: database.imported.note([state]))
    except HoshikageError as error:
        log.warning("predecessor_not_imported", folder=str(folder), reason=error.message)
        return 0
    log.info(
        "predecessor_imported",
        folder=str(folder),
        imported=new,
        known_already=len(found.memories) - new,
        skipped=dict(found.skipped),
        owner="those who ask from this machine without a key",
    )
    return new


def _parts(memories: list[tuple[str, Memory]]) -> list[list[tuple[str, Memory]]]:
    """Not too many at once, so that a conversation of today can be written down in between."""
    return [memories[at : at + BATCH] for at in range(0, len(memories), BATCH)]


def _take(database: Database, *, part: list[tuple[str, Memory]]) -> int:
    """Write what was never taken in. If the process dies in between, the same text in one session is one memory."""
    known = database.imported.known(identity for identity, _ in part)
    new = [(identity, memory) for identity, memory in part if identity not in known]
    written = database.write(LOCAL_OWNER, [memory for _, memory in new])
    database.imported.note(identity for identity, _ in new)
    return len(written)
