"""Killing a process that makes or uses an index: the next one finds everything, and nothing of the rest stays.

Each process takes two seconds to start and to import chromadb.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.plugins.memory.bench import OWNER, clustered

ROOT = Path(__file__).parents[4]
CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.plugins.memory.bench import OWNER, Bench, clustered

async def main():
    bench = Bench(Path(sys.argv[1]))
    bench.tell(OWNER, clustered(800))
    bench.index.start()
    if sys.argv[2] == "made":
        await bench.index.serves(OWNER)
        await bench.found(OWNER, clustered(800)[3])
    else:
        while not (bench.index._making and (Path(sys.argv[1]) / "index" / bench.index._making.name).is_dir()):
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)  # before anything else happens on this loop, its record included
    print("now", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["made", "being made"])
async def test_a_killed_process_leaves_nothing_behind_that_harms(bench_in, tmp_path, moment):
    """What was complete is used as it is; what was not is taken away, and made anew."""
    command = [sys.executable, "-c", CHILD, str(tmp_path), moment]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)  # noqa: ASYNC220  it is waited for at once
    assert child.stdout is not None
    while child.stdout.readline() not in {b"now\n", b""}:
        pass
    child.kill()
    child.wait()
    bench = bench_in(tmp_path)
    before = set(bench.collections())
    with capture_logs() as logs:
        await bench.indexed(OWNER)
    vectors = clustered(800)
    lost = [n for n in range(0, 800, 10) if [f"text {n}"] != await bench.found(OWNER, vectors[n])]

    assert 1 == len(before)
    assert [] == lost
    assert (before == set(bench.collections())) == (moment == "made")
    assert ([] if moment == "made" else ["vector_index_made"]) == [line["event"] for line in logs]
