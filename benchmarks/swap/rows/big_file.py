"""A file of several GiB: loaded from a cold disk, from the page cache, and from the RAM disk."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.processes import StartFailed
from benchmarks.rows.base import Entry, Measured, MeasureFailed
from benchmarks.swap.big_file import NoRoom, make
from benchmarks.swap.contestants import OwnServer, until_quiet
from benchmarks.swap.page_cache import CacheStays, drop, read_through, warm
from benchmarks.swap.rows.base import SwapRow
from benchmarks.swap.targets import BIG, COLD, RAM_DISK, WARM
from benchmarks.swap.works import tiny_work
from benchmarks.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rows.base import Surroundings
    from benchmarks.swap.ground import Ground

DROP_LIMIT_S = 10.0
TRY_EVERY_S = 0.2


class BigFileServer(OwnServer):
    """Our own server with the generated file, which is made first where it is missing."""

    ground: Ground

    async def start(self) -> None:
        """Generate, and serve; nothing is loaded yet."""
        try:
            await made(self.ground)
        except NoRoom as error:
            raise StartFailed(str(error)) from error
        await self.serve()


class BigFileLoad(SwapRow):
    """The same request three times, with the file in three places."""

    name = "big-file"
    title = "A generated file is loaded, with hardly anything to compute"
    headline = (("ttft_s", "s"), ("file_mib", "MiB"), ("loaded_mib_per_s", "MiB/s loaded"), ("read_mib_per_s", "MiB/s"))
    most_rounds = 3

    def stages(self) -> int:
        """The file."""
        return self.ground.big_bytes

    def sides(self, around: Surroundings) -> list[Entry]:
        """A server that reads from disk, and one that stages, where there is room for it."""
        disk = self._server(around, "disk", ram=False)
        found = [Entry(COLD, disk), Entry(WARM, disk)]
        return [*found, Entry(RAM_DISK, self._server(around, RAM_DISK, ram=True))] if self.fits else found

    def _server(self, around: Surroundings, label: str, *, ram: bool) -> BigFileServer:
        name = f"{self.name}-{label}"
        folder = self.ground.ram_for(name) if ram else None
        server = BigFileServer(
            self.ground.setup(around, name, n_ctx=2048), self.ground.large, ram_folder=folder, state=False
        )
        server.ground = self.ground
        return server

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Put the file where the row says, load it by asking, then read it once more without a server."""
        ours, source = entry.contestant, self.ground.big
        assert isinstance(ours, BigFileServer)
        if entry.label == RAM_DISK:
            await ours.stage(BIG)
        await self._put(entry.label, ours)
        answer = await ours.ask(BIG, tiny_work(around.tokenizer.count, 9800 + round_number))
        await self._put(entry.label, ours)
        file = ours.staged_file(BIG) if entry.label == RAM_DISK else source
        read = await asyncio.to_thread(read_through, file)
        size = source.stat().st_size
        return Measured(
            {
                "ttft_s": answer.first_token_s,
                "file_mib": size / 2**20,
                "loaded_mib_per_s": size / 2**20 / answer.first_token_s,
                "read_mib_per_s": read / 2**20,
            }
        )

    async def _put(self, label: str, ours: BigFileServer) -> None:
        """Unload, and have the source in the page cache or not; beside a staged copy it must not be there."""
        await ours.unload(BIG)
        await until_quiet(ours)
        try:
            if label == WARM:
                await asyncio.to_thread(warm, self.ground.big)
            else:
                await _dropped(self.ground.big)
        except CacheStays as error:
            raise MeasureFailed(str(error)) from error


async def made(ground: Ground) -> None:
    """Generate the file in a thread. A thread cannot be cancelled, so it is told, and waited for.

    Raises:
        NoRoom: the disk is too full.
    """
    stop = threading.Event()
    work = asyncio.to_thread(make, ground.big, ground.big_bytes, ground.smollm2, stop, say)
    task = asyncio.create_task(work, name="generate")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _dropped(file: Path) -> None:
    """Drop a file from the page cache, as soon as the worker that had it mapped is gone."""
    until = time.monotonic() + DROP_LIMIT_S
    while True:
        try:
            return await asyncio.to_thread(drop, file)
        except CacheStays:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(TRY_EVERY_S)
