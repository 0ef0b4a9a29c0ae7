"""Copyings that run: seen, shared, and ended by whoever may end them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.shelf import Source
from hoshikage.plugins.ramdisk.stager import COPYING_THREADS
from tests.fakes import until
from tests.plugins.ramdisk.disks import MIB, model, names_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hoshikage import ModelRecord, StagedCopy
    from hoshikage.plugins.ramdisk.stager import RamDisk

LARGE_BYTES = 96 * MIB
SOON_S = 20.0


async def copying(stager: RamDisk, record: ModelRecord) -> asyncio.Task[StagedCopy]:
    """A copying that is under way."""
    task = asyncio.create_task(stager.stage(record))
    await until(lambda: any(view.done_bytes for view in stager.views()))
    return task


@contextlib.contextmanager
def held_up(disk: Path, *records: ModelRecord) -> Iterator[None]:
    """As if another process made these copies just now."""
    with contextlib.ExitStack() as stack:
        for record in records:
            stack.enter_context(FileLock(disk / "locks" / f"{Source.of(record.file).key}.lock"))
        yield


async def test_progress_is_seen(stager_on, large_disk, models):
    """While it copies, the view tells how much is done; afterwards the copy is ready."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    task = asyncio.create_task(stager.stage(record))

    await until(lambda: stager.views() and 0 < stager.views()[0].done_bytes < LARGE_BYTES)
    (view,) = stager.views()
    await task
    (after,) = stager.views()

    assert ("copying", LARGE_BYTES, 0) == (view.state, view.size_bytes, view.done_bytes % (8 * MIB))
    assert ("ready", LARGE_BYTES) == (after.state, after.done_bytes)


async def test_who_asks_meanwhile_gets_the_same_copy(stager, record):
    """Two who ask at once share one copying."""
    copies = await asyncio.gather(stager.stage(record), stager.stage(record), stager.stage(record))

    assert 1 == len(set(copies)) == len(stager.views())


async def test_cancelling_ends_the_copying_when_nobody_waits(stager_on, large_disk, models):
    """One who leaves does not end it for the other; when the last one leaves, nothing remains."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    first, second = (asyncio.create_task(stager.stage(record)) for _ in range(2))
    await until(lambda: stager.views() and stager.views()[0].done_bytes)

    first.cancel()
    await asyncio.wait([first])
    going_on = stager.views()[0].state
    second.cancel()
    await asyncio.wait([second])
    await until(lambda: not stager.views())

    assert "copying" == going_on
    assert first.cancelled()
    assert second.cancelled()
    assert [] == names_below(large_disk / "models")
    assert 0 == stager.space().used_bytes


async def test_after_a_cancelled_copying_comes_another(stager_on, large_disk, models):
    """Who asks while the cancelled one still ends gets a copy of his own."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    first = asyncio.create_task(stager.stage(record))
    await until(lambda: stager.views() and stager.views()[0].done_bytes)
    first.cancel()

    copy = await stager.stage(record)

    assert LARGE_BYTES == copy.file.stat().st_size


async def test_a_stop_ends_the_copying(stager_on, large_disk, models):
    """A stop in the middle refuses those who wait, and leaves nothing."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    task = asyncio.create_task(stager.stage(record))
    await until(lambda: stager.views() and stager.views()[0].done_bytes)

    await stager.stop()

    with pytest.raises(StagingRefused, match="cancelled"):
        await task
    assert [] == names_below(large_disk)


async def test_a_loop_that_ends_without_a_stop(stager_on, large_disk, models):
    """Where the copying's task is cancelled from outside, its thread gives up and clears what it has."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    waiting = asyncio.create_task(stager.stage(record))
    await until(lambda: stager.views() and stager.views()[0].done_bytes)
    ((_, task),) = stager._jobs.values()

    task.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    await until(lambda: not names_below(large_disk / "models"))


async def test_who_gives_up_has_seen_to_the_end(stager_on, large_disk, models):
    """When the last one who waited is gone, so are the half copy and what it took: the memory can be had."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    task = await copying(stager, record)

    task.cancel()
    await asyncio.wait([task])

    assert ((), 0, []) == (stager.views(), stager.space().used_bytes, names_below(large_disk / "models"))


async def test_unstaging_ends_the_copying(stager_on, large_disk, models):
    """Who lets a copy go that is being made ends that; who waited for it is told so, and nothing is left."""
    record = model(models / "large.gguf", size_bytes=LARGE_BYTES)
    stager = await stager_on(large_disk, size_mib=1024)
    task = await copying(stager, record)

    gone = await stager.unstage(record)

    assert (True, (), []) == (gone, stager.views(), names_below(large_disk / "models"))
    with pytest.raises(StagingRefused, match=r"large\.gguf was cancelled: the copy was given up meanwhile"):
        await task
    assert LARGE_BYTES == (await stager.stage(record)).size_bytes


async def test_a_stop_refuses_who_waits_for_the_end_of_another(stager, disk, record):
    """Who asks while a cancelled copying still ends, and then the server stops, is told that."""
    with held_up(disk, record):
        first = asyncio.create_task(stager.stage(record))
        await until(stager.views)
        first.cancel()
        second = asyncio.create_task(stager.stage(record))
        third = asyncio.create_task(stager.stop())
        with pytest.raises(StagingRefused, match="the server stops"):
            await asyncio.wait_for(second, SOON_S)
        await asyncio.wait_for(third, SOON_S)

    assert first.cancelled()


async def test_deleting_waits_for_no_copying(stager, disk, models):
    """However many copyings are held up, a copy can be let go: somebody may wait for its memory."""
    small = model(models / "small.gguf")
    await stager.stage(small)
    slow = [model(models / f"{n}.gguf") for n in range(COPYING_THREADS + 1)]
    with held_up(disk, *slow):
        tasks = [asyncio.create_task(stager.stage(record)) for record in slow]
        await until(lambda: len(stager.views()) == len(slow) + 1)

        assert await asyncio.wait_for(stager.unstage(small), SOON_S)
        tasks[-1].cancel()
        await asyncio.wait_for(asyncio.wait([tasks[-1]]), SOON_S)  # it never had a thread, and needs none to end

    await asyncio.gather(*tasks[:-1])
    assert COPYING_THREADS == len(stager.views())
