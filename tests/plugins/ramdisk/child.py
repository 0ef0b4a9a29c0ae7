"""A server's RAM disk in a process of its own, which does what it is told line by line.

`python -m tests.plugins.ramdisk.child PLACE PINS`; each line is a method and a file, each answer a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hoshikage import ModelRecord
from hoshikage.core.catalog import record_of
from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.settings import RamDiskSettings
from hoshikage.plugins.ramdisk.stager import RamDisk


async def main(place: str, pins: str) -> None:
    """Read lines until there are no more."""
    stager = RamDisk(RamDiskSettings(size_gib=1, floor_gib=0), path=Path(place), pins_file=Path(pins))
    await stager.start()
    say(stager.space().reason or "started")
    while line := await asyncio.to_thread(sys.stdin.readline):
        method, _, file = line.strip().partition(" ")
        try:
            say(await do(stager, method, file))
        except StagingRefused as error:
            say({"refused": error.message})


async def do(stager: RamDisk, method: str, file: str) -> object:
    """Carry out one line."""
    record = record_of("child", Path(file)) if file else None
    match method, record:
        case "stop", _:
            return await stager.stop()
        case "stage", record if record:
            return str((await stager.stage(record)).file)
        case "unstage", record if record:
            return await stager.unstage(record)
        case "hold" | "release" | "touch", record if record:
            return getattr(stager, method)(record)
        case "churn", _:  # until the process is killed
            records = models_in(Path(file))
            while True:
                for record in records:
                    await stager.stage(record)
                    await stager.unstage(record)
    raise AssertionError(method)


def models_in(folder: Path) -> list[ModelRecord]:
    """A record for each file of a folder."""
    return [record_of(file.stem, file) for file in sorted(folder.glob("*.gguf"))]


def say(answer: object) -> None:
    """One line of JSON."""
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
