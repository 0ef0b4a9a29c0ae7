"""Work in threads that is let end before anybody goes on, even one who was cancelled meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
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
    call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    # No task: the end of the loop cancels all tasks, and one that is cancelled looks done while its thread still works.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():  # whoever is impatient cancels more than once
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # nobody asks for it any more, and asyncio would report that
        raise
