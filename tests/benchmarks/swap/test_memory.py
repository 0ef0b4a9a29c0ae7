"""The kernel's account of a process's memory."""

from __future__ import annotations

import os

import pytest

from benchmarks.processes import rss_bytes
from benchmarks.swap.memory import Memory, memory_of, parse_rollup

ROLLUP = """\
55d0c0de0000-7ffd8e5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               10240 kB
Pss:                2048 kB
Pss_Dirty:          1000 kB
"""


def test_both_figures_are_read():
    """The kernel writes KiB and calls them kB."""
    assert Memory(rss=10240 * 1024, pss=2048 * 1024) == parse_rollup(ROLLUP)


def test_a_process_that_is_ending_has_none():
    """That is an error and no zero, which would be a wonderful figure."""
    with pytest.raises(OSError, match="no memory"):
        parse_rollup("")


def test_a_process_can_be_looked_at():
    """Shared pages count whole in one figure, and in part in the other."""
    mine = memory_of(os.getpid())

    assert 0 < mine.pss <= mine.rss
    assert mine.rss == pytest.approx(rss_bytes(os.getpid()), rel=0.1)
