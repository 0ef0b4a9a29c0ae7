"""Several servers on one RAM disk, and servers that are killed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.plugins.ramdisk.disks import MIB, model, names_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
ANSWER_LIMIT_S = 60.0
KILLS = 10
LONGEST_LIFE_S = 0.5


class Server:
    """A child process with a RAM disk."""

    def __init__(self, place: Path, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.plugins.ramdisk.child", str(place), str(folder / "child_pins.json")]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
        )

    def send(self, line: str) -> None:
        """Tell it to do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> object:
        """The next answer; lines of the log are passed over."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line[0] in '"{ntf':
                return json.loads(line)
        raise AssertionError(f"the child is gone: {self.process.wait()}")

    def do(self, line: str) -> object:
        """Tell it, and wait for the answer."""
        self.send(line)
        return self.answer()

    def kill(self) -> None:
        """End it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[Path], Server]]:
    """Starts servers; all are killed at the end."""
    started: list[Server] = []

    def start(place: Path) -> Server:
        started.append(Server(place, tmp_path))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


def test_two_servers_stage_one_model_at_once(server, large_disk, models):
    """Both get the same file, which was copied once."""
    record = model(models / "a.gguf", size_bytes=64 * MIB)
    servers = [server(large_disk), server(large_disk)]
    started = [s.answer() for s in servers]
    for s in servers:
        s.send(f"stage {record.file}")

    copies = [s.answer() for s in servers]

    assert ["started"] * 2 == started
    assert copies[0] == copies[1]
    assert 1 == len(list((large_disk / "models").iterdir()))
    assert record.file.read_bytes() == Path(str(copies[0])).read_bytes()


async def test_what_another_server_holds_stays(server, large_disk, record, stager_on):
    """A copy that another server's model reads from is shown as held, cannot go, and makes no room."""
    stager = await stager_on(large_disk, size_mib=1.5)
    other = server(large_disk)
    other.answer()
    other.do(f"stage {record.file}")
    other.do(f"hold {record.file}")
    big = model(record.file.with_name("b.gguf"))
    held = [stager.views()[0].held, await stager.unstage(record)]

    from hoshikage.core.errors import StagingRefused

    with pytest.raises(StagingRefused, match="in use"):
        await stager.stage(big)
    other.do(f"release {record.file}")
    await stager.stage(big)

    assert [True, False] == held
    assert ["b.gguf"] == [view.file.name for view in stager.views()]


async def test_a_killed_server_holds_nothing(server, large_disk, record, stager_on):
    """With the process its locks go, so the copy can go too."""
    stager = await stager_on(large_disk)
    other = server(large_disk)
    other.answer()
    other.do(f"stage {record.file}")
    other.do(f"hold {record.file}")

    other.kill()

    assert not stager.views()[0].held
    assert await stager.unstage(record)


async def test_the_last_server_clears_up(server, large_disk, record, stager_on):
    """A server that stops leaves the copies to the others; the last one takes them away."""
    stager = await stager_on(large_disk)
    other = server(large_disk)
    other.answer()
    copy = Path(str(other.do(f"stage {record.file}")))

    other.do("stop")
    left = stager.find(record)
    await stager.stop()

    assert copy == left.file
    assert [] == list(large_disk.iterdir())


async def test_use_by_another_server_is_use(server, large_disk, record, stager_on):
    """A copy that another server touches is not idle."""
    now = [0.0]
    stager = await stager_on(large_disk, clock=lambda: now[0], great_timeout_min=1)
    await stager.stage(record)
    stager._leases.clear()
    other = server(large_disk)
    other.answer()
    now[0] += 50
    other.do(f"touch {record.file}")
    await stager.free_idle()
    now[0] += 50
    await stager.free_idle()
    before = len(stager.views())
    now[0] += 10
    await stager.free_idle()

    assert (1, 0) == (before, len(stager.views()))


async def test_killed_at_random_moments(server, large_disk, models, stager_on):
    """After kill -9 at any moment of copying and deleting, the next start finds whole copies or none."""
    chance = random.Random(4)
    sources = [model(models / f"m{i}-0000{n}-of-00002.gguf", size_bytes=24 * MIB) for i in range(2) for n in (1, 2)]
    foreign = {"foreign": b"mine", "models/foreign.gguf": b"mine", "models/a-folder/of.gguf": b"mine"}
    for name, content in foreign.items():
        (large_disk / name).parent.mkdir(parents=True, exist_ok=True)
        (large_disk / name).write_bytes(content)
    found_half = 0

    for _ in range(KILLS):
        killed = server(large_disk)
        assert "started" == await asyncio.to_thread(killed.answer)
        killed.send(f"churn {models}")
        await asyncio.sleep(chance.uniform(0.02, LONGEST_LIFE_S))  # the moment itself is what the test is about
        killed.kill()
        left = {p.name for p in (large_disk / "models").iterdir()}
        found_half += any(name.endswith((".part", ".gone")) for name in left)
        stager = await stager_on(large_disk, keep_on_stop=True)

        whole = {view.file.name for view in stager.views()}
        copies = [stager.find(record) for record in sources]
        assert whole == {r.file.name for r, copy in zip(sources, copies, strict=True) if copy}
        for record, copy in zip(sources, copies, strict=True):
            if copy is not None:
                assert sha256(record.file) == sha256(copy.file)
        folders = {copy.file.parent.name for copy in copies if copy is not None}
        assert {"foreign.gguf", "a-folder", *folders} == {p.name for p in (large_disk / "models").iterdir()}
        await stager.stop()

    assert all(content == (large_disk / name).read_bytes() for name, content in foreign.items())
    assert found_half, "no kill came in the middle: the test would prove nothing"
    stager = await stager_on(large_disk)
    await stager.stop()
    assert sorted(foreign) == names_below(large_disk)


async def test_a_start_while_another_copies_leaves_its_half(server, large_disk, models, stager_on):
    """The half copy of a living server is no leftover."""
    record = model(models / "a.gguf", size_bytes=128 * MIB)
    other = server(large_disk)
    other.answer()
    other.send(f"stage {record.file}")
    deadline = time.monotonic() + ANSWER_LIMIT_S
    while not list((large_disk / "models").glob("*.part")):
        assert time.monotonic() < deadline

    stager = await stager_on(large_disk)

    copied = await asyncio.to_thread(other.answer)
    assert copied == str(stager.find(record).file)


def sha256(file: Path) -> str:
    """Of the content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
