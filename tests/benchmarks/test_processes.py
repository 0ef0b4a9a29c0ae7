"""Child processes of the benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.processes import (
    StartFailed,
    cpu_s,
    descendants,
    free_port,
    is_alive,
    n_open_files,
    rss_bytes,
    start,
    wait_until_up,
)

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print(child.pid, flush=True)
child.wait()
"""


async def test_stopping_ends_grandchildren_too(tmp_path: Path):
    """Nothing is left behind, even if the child does not care for its own."""
    child = await start([sys.executable, "-c", PARENT], tmp_path / "log", pipes=True)
    assert child.process.stdout is not None
    grandchild = int(await child.process.stdout.readline())
    tree = child.tree
    await child.stop()

    assert grandchild in tree
    assert not any(map(is_alive, tree))


async def test_a_process_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path):
    """The reason is in its log."""
    child = await start([sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path / "log")
    with pytest.raises(StartFailed, match="no such model"):
        await wait_until_up(child, f"http://127.0.0.1:{free_port()}/", limit_s=10)
    await child.stop()


async def test_a_command_that_is_not_there_is_named(tmp_path: Path):
    """A typing error in LLAMA_SERVER is no traceback."""
    with pytest.raises(StartFailed, match="/no/such/binary"):
        await start(["/no/such/binary"], tmp_path / "log")


async def test_a_process_is_measured(tmp_path: Path):
    """Memory, handles and processor time of a process that runs; nothing of one that is gone."""
    code = "print(sum(range(3_000_000)), flush=True); input()"
    child = await start([sys.executable, "-c", code], tmp_path / "log", pipes=True)
    assert child.process.stdout is not None
    await child.process.stdout.readline()
    pid = child.process.pid
    alive = rss_bytes(pid), n_open_files(pid), cpu_s([pid])
    await child.stop()

    assert all(alive)
    assert (0, 0, 0.0) == (rss_bytes(pid), n_open_files(pid), cpu_s([pid]))
    assert [] == descendants(pid)
