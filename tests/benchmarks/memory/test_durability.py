"""The benchmark that kills the server: what it counts, and that it runs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.memory.durability import Ledger, durability


def test_what_was_acknowledged_and_is_missing_is_lost():
    """Once is enough, though it may come back; what nobody acknowledged is not counted."""
    ledger = Ledger(notes=["a", "b"], turns={"t"}, answered={"t", "u"}, kills=2)
    ledger.compare({"a", "t"})
    ledger.compare({"a", "b", "t"})
    values = ledger.values({"a", "b", "t"})

    assert {"b"} == ledger.lost
    assert {"kills": 2, "acknowledged": 3, "lost": 1, "notes": 2, "turns": 1, "turns_answered_not_written": 1} == values


async def test_two_kills_of_a_real_server(tmp_path: Path):
    """It starts three times, which takes a few seconds; nothing is lost."""
    row = await durability(tmp_path, kills=2, variables={"HOSHIKAGE_MEMORY__EMBEDDER": "none"})
    (sample,) = row.samples

    assert (2, 0, 1) == tuple(sample.values[name] for name in ("kills", "lost", "sound"))
    assert sample.values["notes"] >= 2
    assert "2 `kill -9`" in row.title
