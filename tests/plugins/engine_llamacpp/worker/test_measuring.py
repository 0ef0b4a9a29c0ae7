"""What the worker takes, from the kernel's totals."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp.usage import Usage
from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
from hoshikage.plugins.engine_llamacpp.worker.measuring import measure

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
SLACK = 8 * MIB  # other threads of this process, and what it frees
STATUS = """\
Name:\tpython
VmSwap:\t       1024 kB
VmRSS:\t     409600 kB
RssAnon:\t  204800 kB
RssFile:\t  102400 kB
RssShmem:\t 102400 kB
"""


def buffers_of(*lines: str) -> Buffers:
    buffers = Buffers()
    for line in lines:
        buffers.read(line)
    return buffers


MAPPED = buffers_of("load_tensors:   CPU_Mapped model buffer size =   150.00 MiB")


def test_the_model_is_told_from_the_libraries(tmp_path: Path):
    """What llama.cpp has mapped is the model, on disk or RAM disk; other pages of files are those of the libraries."""
    status = tmp_path / "status"
    status.write_text(STATUS)
    usage = measure([MAPPED], status)

    assert (150 * MIB, 50 * MIB, 201 * MIB) == (usage.mapped_bytes, usage.library_bytes, usage.anonymous_bytes)


def test_no_more_is_mapped_than_there_is(tmp_path: Path):
    """Pages that the kernel has taken back are not in memory."""
    status = tmp_path / "status"
    status.write_text(STATUS)

    assert (200 * MIB, 0) == ((found := measure([MAPPED] * 2, status)).mapped_bytes, found.library_bytes)


def test_memory_that_is_used_is_seen():
    """Pages count from when they are written."""
    before = measure([]).anonymous_bytes
    with mmap.mmap(-1, 128 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        untouched = measure([]).anonymous_bytes
        for page in range(0, 64 * MIB, mmap.PAGESIZE):  # piece by piece: a copy of its size would be counted too
            memory[page] = 1
        touched = measure([]).anonymous_bytes

    assert abs(untouched - before) < SLACK
    assert abs(touched - untouched - 64 * MIB) < SLACK


def test_the_buffers_of_two_models_add_up():
    """A draft model's buffers are in the same process."""
    buffers = buffers_of(
        "llama_kv_cache:        CPU KV buffer size =     3.00 MiB",
        "load_tensors:          CPU model buffer size =     2.00 MiB",
    )
    usage = measure([buffers, buffers])

    assert (6 * MIB, 4 * MIB) == (usage.context_bytes, usage.weights_bytes)


def test_where_the_system_does_not_tell_nothing_is_made_up(tmp_path: Path):
    """Then the prediction stays."""
    assert Usage(0, 0, 0) == measure([], tmp_path / "nothing")
