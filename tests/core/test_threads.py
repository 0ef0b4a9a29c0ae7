from __future__ import annotations

import asyncio
import gc
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


async def test_an_impatient_caller_waits_too():
    """Who is cancelled again and again while the thread works still leaves only after its end, as cancelled."""
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        done.append(1)

    task = asyncio.create_task(finish_in_thread(work))
    await asyncio.to_thread(begun.wait, LIMIT_S)
    left_early = []
    for _ in range(3):
        task.cancel()
        left_early += (await asyncio.wait([task], timeout=0.02))[0]
    go_on.set()
    await asyncio.wait([task], timeout=LIMIT_S)

    assert [] == left_early
    assert task.cancelled()
    assert [1] == done


async def test_the_error_of_work_that_nobody_waits_for_is_no_noise():
    """What fails after its caller was cancelled is not reported as an exception that was never retrieved."""
    begun, go_on = threading.Event(), threading.Event()
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        raise OSError("disk full")

    task = asyncio.create_task(finish_in_thread(work))
    await asyncio.to_thread(begun.wait, LIMIT_S)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait([task], timeout=LIMIT_S)
    cancelled = task.cancelled()
    del task
    gc.collect()

    assert cancelled
    assert [] == noise


def test_the_end_of_the_loop_waits_for_the_thread():
    """At the end of a program all tasks are cancelled; the clean-up after the work still comes after its end."""
    begun, go_on, order = threading.Event(), threading.Event(), []
    tasks: list[asyncio.Task[None]] = []

    def work() -> None:
        begun.set()
        go_on.wait(LIMIT_S)
        order.append("worked")

    async def caller() -> None:
        try:
            await finish_in_thread(work)
        finally:
            order.append("cleaned up")

    async def main() -> None:
        tasks.append(asyncio.create_task(caller()))
        await asyncio.to_thread(begun.wait, LIMIT_S)
        asyncio.get_running_loop().call_later(0.05, go_on.set)

    asyncio.run(main())

    assert ["worked", "cleaned up"] == order
