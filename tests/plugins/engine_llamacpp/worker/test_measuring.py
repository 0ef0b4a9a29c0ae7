"""Pages of a process, counted from what the kernel tells."""

from __future__ import annotations

import mmap
import subprocess
import sys
from subprocess import PIPE

import pytest

from hoshikage.plugins.engine_llamacpp.usage import Usage
from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
from hoshikage.plugins.engine_llamacpp.worker.measuring import Resident, count_pages, measure, resident_of

MIB = 1 << 20
SLACK = 2 * MIB
GONE_LIMIT_S = 10.0

SMAPS = """\
00400000-00500000 r-xp 00000000 fe:01 11   /usr/bin/python3.11
Size:               1024 kB
Rss:                 100 kB
Pss:                  50 kB
Anonymous:            10 kB
Swap:                  0 kB
7f0000000000-7f0000100000 r--s 00000000 00:19 12   /dev/shm/a model.gguf (deleted)
Rss:                 900 kB
Anonymous:             0 kB
Swap:                 24 kB
7f0000200000-7f0000300000 rw-p 00000000 00:00 0
Rss:                 300 kB
Anonymous:           300 kB
Swap:                 40 kB
7f0000400000-7f0000500000 rw-p 00000000 00:00 0    [heap]
Rss:                   8 kB
Anonymous:             8 kB
VmFlags: rd wr mr mw me ac
"""


def test_files_anonymous_pages_and_the_model_are_apart():
    """Pages swapped out are still needed; a file that is gone from its folder is still mapped."""
    resident = count_pages(SMAPS.splitlines(keepends=True), {"/dev/shm/a model.gguf"})

    assert Resident(924 * 1024, (10 + 300 + 40 + 8) * 1024, 90 * 1024) == resident


def test_all_parts_of_a_split_model_count():
    """The name of one part stands for the others, but not for those of another model."""
    lines = [
        "00400000-00500000 r--s 00000000 fe:01 11 /m/a-00001-of-00002.gguf\n",
        "Rss: 1 kB\n",
        "00600000-00700000 r--s 00000000 fe:01 12 /m/a-00002-of-00002.gguf\n",
        "Rss: 2 kB\n",
        "00800000-00900000 r--s 00000000 fe:01 13 /m/b-00001-of-00002.gguf\n",
        "Rss: 4 kB\n",
    ]

    assert (3 * 1024, 4 * 1024) == (
        (found := count_pages(lines, {"/m/a-of-00002.gguf"})).mapped_bytes,
        found.library_bytes,
    )


@pytest.fixture
def model_file(tmp_path):
    """A file of 32 MiB, and a link to it."""
    file = tmp_path / "model.gguf"
    file.write_bytes(bytes(32 * MIB))
    link = tmp_path / "link.gguf"
    link.symlink_to(file)
    return link


def test_a_mapped_file_is_seen(model_file):
    """What this process has mapped and read counts for the model, also through a link."""
    before = resident_of([str(model_file)])
    with model_file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert 0 == sum(mapped[:: mmap.PAGESIZE])
        during = resident_of([str(model_file)])

    assert (0, 32 * MIB) == (before.mapped_bytes, during.mapped_bytes)
    assert abs(during.anonymous_bytes - before.anonymous_bytes) < SLACK


def test_memory_that_is_used_is_seen():
    """Pages count from when they are written."""
    before = resident_of([]).anonymous_bytes
    with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        untouched = resident_of([]).anonymous_bytes
        memory[: 32 * MIB] = b"x" * (32 * MIB)
        touched = resident_of([]).anonymous_bytes

    assert abs(untouched - before) < SLACK
    assert abs(touched - before - 32 * MIB) < SLACK


def test_another_process_can_be_asked():
    """The server may look at its worker; once that is gone, there is nothing to see."""
    process = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # the interpreter is up
        seen = resident_of([], process.pid)
    finally:
        process.communicate(b"\n", timeout=GONE_LIMIT_S)

    assert MIB < seen.anonymous_bytes
    assert Resident() == resident_of([], process.pid)


def test_the_buffers_of_two_models_add_up():
    """A draft model's buffers are in the same process."""
    buffers = Buffers()
    buffers.read("llama_kv_cache:        CPU KV buffer size =     3.00 MiB")
    buffers.read("load_tensors:          CPU model buffer size =     2.00 MiB")
    usage = measure([], [buffers, buffers])

    assert (6 * MIB, 4 * MIB) == (usage.context_bytes, usage.weights_bytes)
    assert Usage().anonymous_bytes < usage.anonymous_bytes
