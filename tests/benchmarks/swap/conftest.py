"""Fixtures of the benchmark of changing between models."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def disk_folder() -> Iterator[Path]:
    """A folder on a disk: the usual temporary one may be a RAM disk, whose files have no cache to leave."""
    folder = tempfile.mkdtemp(prefix=".bench-test-", dir=ROOT)
    yield Path(folder)
    shutil.rmtree(folder)
