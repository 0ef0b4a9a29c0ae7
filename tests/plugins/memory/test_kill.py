"""Killing a process while it writes: nothing that it said was written is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from hoshikage import Owner
from hoshikage.plugins.memory.database import Database

KILLS = 10
WRITER = """
import itertools, sys
from pathlib import Path
from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database
database = Database.open(Path(sys.argv[1]))
for number in itertools.count(int(sys.argv[2])):
    database.write(Owner("a"), [Memory("", f"text {number} 猫 {'x' * 500}", 1.0, session="s")])
    print(number, flush=True)
"""


def test_nothing_acknowledged_is_lost(tmp_path: Path):
    """After each kill the file is sound, and the index finds what the rows say."""
    file, chance, written = tmp_path / "m.sqlite3", random.Random(5), -1
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, file, str(written + 1)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(chance.randint(1, 40)):
            written = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        written = int((writer.stdout.read().split() or [written])[-1])
        writer.wait()
        database = Database.open(file)
        texts = {memory.text.split()[1] for memory in database.newest(Owner("a"), limit=100_000)}
        found = {row.memory.text.split()[1] for row in database.matching(Owner("a"), ["猫"], limit=100_000)}
        database.close()

        assert {str(n) for n in range(written + 1)} <= texts
        assert texts == found
        written = max(int(text) for text in texts)
