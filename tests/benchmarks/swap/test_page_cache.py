"""What of a file is in the page cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.swap.page_cache import COLD_SHARE, WARM_SHARE, CacheStays, drop, read_through, resident_share, warm
from tests.benchmarks.swap.mapped import mapped

SIZE = 4 * 2**20 + 5


@pytest.fixture
def file(disk_folder: Path) -> Path:
    file = disk_folder / "file"
    file.write_bytes(b"x" * SIZE)
    return file


def test_a_dropped_file_is_cold_and_a_read_one_is_warm(file: Path):
    """`mincore` confirms both, just after the file was written, too."""
    drop(file)
    cold = resident_share(file)
    warm(file)

    assert cold <= COLD_SHARE
    assert resident_share(file) >= WARM_SHARE


def test_reading_through_reads_everything(file: Path):
    """Its speed is that of the whole file."""
    drop(file)

    assert read_through(file) > 0
    assert resident_share(file) >= WARM_SHARE


def test_pages_that_a_process_uses_are_told(file: Path, monkeypatch: pytest.MonkeyPatch):
    """A load from such a file is no load from a cold disk."""
    monkeypatch.setattr("benchmarks.swap.page_cache.DROP_CACHES", file.parent / "none")
    with mapped(file), pytest.raises(CacheStays, match="stay in the page cache"):
        drop(file)


def test_an_empty_file_is_there_as_a_whole(disk_folder: Path):
    """There is nothing that could be missing."""
    (disk_folder / "empty").touch()

    assert 1.0 == resident_share(disk_folder / "empty")
