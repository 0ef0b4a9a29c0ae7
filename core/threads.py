"""Work in threads that is let end before anybody goes on, even one who was cancelled meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


async def finish_in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short piece of blocking work off the loop.

    A thread cannot be cancelled. `asyncio.to_thread` leaves it running behind the back of whoever cleans up: a file
    that is deleted then comes back. Here the cancellation waits for the thread's end.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():  # whoever is impatient cancels more than once
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        raise
