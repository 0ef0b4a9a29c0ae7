"""How a backlog of memories without vectors is taken: in which pieces, and what is said of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger(__name__)

BATCH_CHARS: Final = 500  # a question waits for the batch before it; on a CPU, larger ones are hardly faster
PROGRESS_S: Final = 30.0


class Progress:
    """Says every so often how far a long backlog is.

    Args:
        embedder: its name.
    """

    def __init__(self, embedder: str) -> None:
        self._embedder = embedder
        self._since = time.monotonic()
        self._done = 0

    def is_due(self, done: int) -> bool:
        """Count memories that were embedded; 0 ends the backlog, of which nothing is said where it was short."""
        now = time.monotonic()
        if not done:
            self._since, self._done = now, 0
            return False
        self._done += done
        return now - self._since >= PROGRESS_S

    def say(self, missing: int) -> None:
        """Write the line."""
        log.info("memories_being_embedded", embedder=self._embedder, done=self._done, to_do=missing)
        self._since, self._done = time.monotonic(), 0


def batch_size(lengths: Sequence[int]) -> int:
    """How many of the texts with these lengths are embedded at once: at least one."""
    total = 0
    for count, length in enumerate(lengths):
        total += length
        if count and total > BATCH_CHARS:
            return count
    return len(lengths)
