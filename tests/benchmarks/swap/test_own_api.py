"""What the benchmark reads from our own server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.rows.base import MeasureFailed
from benchmarks.swap.own_api import (
    is_staged,
    load_request,
    n_occupied,
    predicted_bytes,
    ram_disk_settings,
    row_of,
    state_settings,
)

FILE = Path("/models/a.gguf")


def test_a_prediction_is_read():
    """What a model takes of main memory."""
    assert 5 == predicted_bytes({"need": {"ram_bytes": 5, "vram_bytes": 0}})


@pytest.mark.parametrize(
    "plan",
    [{}, {"needs": 1}, {"need": 3}, {"need": {"ram": 5}}, {"need": {"ram_bytes": "5"}}, {"need": {"ram_bytes": 0}}],
)
def test_a_plan_without_a_prediction_is_told(plan: dict[str, Any]):
    """A server that answers otherwise is an error of the row, with the fields that there are."""
    with pytest.raises(MeasureFailed, match=r"without need\.ram_bytes"):
        predicted_bytes(plan)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], False),
        ([{"file": str(FILE), "state": "ready"}], True),
        ([{"file": str(FILE), "state": "copying"}], False),
        ([{"file": "/models/b.gguf", "state": "ready"}], False),
    ],
)
def test_only_a_whole_copy_is_staged(rows: list[dict[str, Any]], expected: bool):
    """A copy in the making is no copy."""
    assert expected is is_staged({"staged": rows}, FILE)


def test_a_server_that_does_not_show_copies_is_told():
    """Nobody may take a load from disk for one from the RAM disk."""
    with pytest.raises(MeasureFailed, match="no list 'staged'"):
        is_staged({"loaded": []}, FILE)


def test_a_loaded_model_is_found_by_its_name():
    """With the tag that the server adds; one that is still loading is not there."""
    rows = [
        {"name": "smollm2:latest", "state": "ready", "pid": 7},
        {"name": "gemma:latest", "state": "loading", "pid": None},
    ]

    assert 7 == row_of({"loaded": rows}, "smollm2")["pid"]
    assert {} == row_of({"loaded": rows}, "gemma") == row_of({}, "smollm2")


def test_who_is_on_the_way_counts_too():
    """A model that closes is still there."""
    assert (2, 0) == (n_occupied({"loaded": [{"state": "closing"}, {"state": "loading"}]}), n_occupied({}))


def test_a_context_is_asked_for_only_where_it_is_given():
    """Otherwise the settings decide."""
    assert "num_ctx" not in str(load_request("a"))
    assert 8192 == load_request("a", 8192)[1]["num_ctx"]


def test_settings_say_what_is_off():
    """What is on by default needs no variable."""
    assert {"HOSHIKAGE_RAMDISK__ENABLED": "false"} == ram_disk_settings(None)
    assert "/dev/shm/x" == ram_disk_settings(Path("/dev/shm/x"))["HOSHIKAGE_RAMDISK__PATH"]
    assert ({}, {"HOSHIKAGE_STATE__ENABLED": "false"}) == (state_settings(enabled=True), state_settings(enabled=False))
