"""The access log: one line per finished request, with what it cost and none of its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import hookimpl
from hoshikage.plugins.access_log.observer import AccessLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Observer


@hookimpl
def hoshikage_provide_observers() -> Sequence[Observer]:
    """Offer the observer."""
    return [AccessLog()]
