"""What a storage remembers of copies that were not made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hoshikage import ModelRecord, StagedCopy
from hoshikage.core.errors import StagingRefused
from hoshikage.core.storage import MAX_REFUSALS, Storage
from tests.fakes import FakeStager, until

A = ModelRecord("a", Path("/models/a.gguf"), size_bytes=100)
B = ModelRecord("b", Path("/models/b.gguf"), size_bytes=50)
WITHOUT_FILE = ModelRecord("echo", engine="echo")
FULL = StagingRefused("the RAM disk is full")


@pytest.fixture
def stager(tmp_path: Path) -> FakeStager:
    return FakeStager(tmp_path / "ram")


@pytest.fixture
def storage(stager: FakeStager) -> Storage:
    return Storage([stager])


async def refused(storage: Storage, record: ModelRecord) -> str:
    """What is remembered after a try to copy a model while it is read from disk."""
    storage.copy_later(record)
    await until(lambda: not storage._prefetching)
    return storage.refusal(record)


@pytest.mark.parametrize(
    ("error", "reason"), [(FULL, "the RAM disk is full"), (ZeroDivisionError("oops"), "fake_stager failed: oops")]
)
async def test_why_there_is_no_copy(storage: Storage, stager: FakeStager, error: Exception, reason: str):
    """Why the last try failed is remembered, for this model alone; a model without a file has no such reason."""
    stager.refusal = error

    assert reason == await refused(storage, A)
    assert ("", "") == (storage.refusal(B), storage.refusal(WITHOUT_FILE))


async def test_a_new_try_is_no_refusal_yet(storage: Storage, stager: FakeStager):
    """While it is tried again, and when that succeeded, there is nothing to say."""
    stager.refusal = FULL
    before = await refused(storage, A)
    stager.refusal = None
    stager.hold_up.clear()
    storage.copy_later(A)
    await until(lambda: len(stager.done) == 2)
    during = storage.refusal(A)
    stager.hold_up.set()
    await until(lambda: stager.copies)

    assert ("the RAM disk is full", "", "") == (before, during, storage.refusal(A))


@pytest.mark.parametrize("change", [{"size_bytes": 99}, {"modified_at": 1.0}])
async def test_a_refusal_is_of_one_version(storage: Storage, stager: FakeStager, change: dict):
    """A file that is another one by now was never refused."""
    stager.refusal = FULL
    await refused(storage, A)

    assert "" == storage.refusal(replace(A, **change))


async def test_a_copy_made_otherwise_ends_a_refusal(storage: Storage, stager: FakeStager):
    """Another server may have made the copy since: what was refused here is true no longer."""
    stager.refusal = FULL
    await refused(storage, A)
    stager.copies[A.file] = StagedCopy(stager.folder / "a.gguf", 100, stager.folder / "state")

    assert "" == storage.refusal(A)


async def test_the_newest_refusals_are_remembered(storage: Storage, stager: FakeStager):
    """However many models are refused, no more than some are kept in mind."""
    stager.refusal = FULL
    records = [ModelRecord(f"m{n}", Path(f"/models/m{n}.gguf")) for n in range(MAX_REFUSALS + 1)]
    for record in records:
        with pytest.raises(StagingRefused):
            await storage.stage(record)

    assert ["", "the RAM disk is full", "the RAM disk is full"] == [storage.refusal(records[n]) for n in (0, 1, -1)]
    assert MAX_REFUSALS == len(storage._refusals)
