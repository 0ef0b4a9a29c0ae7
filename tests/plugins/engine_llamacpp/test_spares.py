"""Worker processes that wait for their model."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from hoshikage.plugins.engine_llamacpp.spares import Spares
from tests.plugins.engine_llamacpp.test_model import until

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


async def test_one_that_waits_is_handed_out_and_replaced():
    """The process was there before it was asked for, and another one takes its place."""
    spares = Spares(1)
    first = await spares.take()
    spares.refill()
    await until(lambda: spares.waiting)
    (waits,) = spares.waiting
    second = await spares.take()
    spares.refill()
    await until(lambda: spares.waiting)
    third = spares.waiting
    await spares.close()
    pids = [first.pid, second.pid, *third]
    for child in (first, second):
        await child.close()

    assert waits == second.pid
    assert 3 == len(set(pids))
    assert [] == [pid for pid in pids if psutil.pid_exists(pid)]


async def test_a_dead_one_is_not_handed_out():
    """It may have been killed while it waited."""
    spares = Spares(1)
    first = await spares.take()
    spares.refill()
    await until(lambda: spares.waiting)
    (dead,) = spares.waiting
    os.kill(dead, signal.SIGKILL)
    await until(lambda: not spares.waiting)
    second = await spares.take()
    await spares.close()
    for child in (first, second):
        await child.close()

    assert dead != second.pid


async def test_none_waits_if_none_is_wanted():
    """With 0, each is started when it is needed."""
    spares = Spares(0)
    child = await spares.take()
    spares.refill()
    waiting = spares.waiting
    await child.close()
    await spares.close()

    assert () == waiting


async def test_after_the_close_none_is_started():
    """A process that is asked for while the engine closes is the last one."""
    spares = Spares(1)
    await spares.close()
    child = await spares.take()
    spares.refill()
    waiting = spares.waiting
    await child.close()

    assert () == waiting


async def test_one_that_waits_has_its_usual_priority():
    """It gets ready with the lowest one, and computes with that of the server."""
    spares = Spares(1)
    spares.refill()
    await until(lambda: spares.waiting)
    child = await spares.take()
    await until(lambda: psutil.Process(child.pid).num_threads() > 1 and "llama" in maps_of(child.pid))
    nice = psutil.Process(child.pid).nice()
    await child.close()
    await spares.close()

    assert os.getpriority(os.PRIO_PROCESS, 0) == nice


def maps_of(pid: int) -> str:
    """What a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()
