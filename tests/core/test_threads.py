from __future__ import annotations

import asyncio
import threading

import pytest

from hoshikage.core.threads import finish_in_thread

LIMIT_S = 5.0


async def test_the_result_comes_back():
    """It is a call like any other, with its result and its error."""
    assert await finish_in_thread(divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        await finish_in_thread(divmod, 1, 0)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_caller_waits_for_the_threads_end(times: int):
    """Nothing goes on behind the back of whoever cleans up, however often it is cancelled."""
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        done.append(1)

    task = asyncio.create_task(finish_in_thread(work))
    await asyncio.to_thread(begun.wait, LIMIT_S)
    still_there = True
    for _ in range(times):
        task.cancel()
        still_there &= not (await asyncio.wait([task], timeout=0.05))[0]
    go_on.set()
    await asyncio.gather(task, return_exceptions=True)

    assert still_there
    assert task.cancelled()
    assert done == [1]
