"""Worker processes that wait for their model."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from hoshikage.plugins.engine_llamacpp import spares as spares_module
from hoshikage.plugins.engine_llamacpp.spares import Spares
from tests.plugins.engine_llamacpp.test_model import until

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one is started at once."""
    monkeypatch.setattr(spares_module, "REFILL_DELAY_S", 0.0)


async def test_one_that_waits_is_handed_out_and_replaced():
    """The process was there before it was asked for, and another one takes its place."""
    spares = Spares(1)
    first = await spares.take()
    await until(lambda: spares.waiting)
    (waits,) = spares.waiting
    second = await spares.take()
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
    waiting = spares.waiting
    await child.close()
    await spares.close()

    assert () == waiting


async def test_after_the_close_none_is_started():
    """A process that is asked for while the engine closes is the last one."""
    spares = Spares(1)
    await spares.close()
    child = await spares.take()
    waiting = spares.waiting
    await child.close()

    assert () == waiting
