"""The state of the server as JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from hoshikage import EngineCounters, LoadForecast, MemoryNeed, ModelRecord, StagedView, StageSpace
from hoshikage.core.contracts import KernelStatus, LoadedView
from hoshikage.plugins.routes_status.rows import (
    forecast_body,
    loaded_row,
    need_row,
    space_row,
    staged_row,
    status_body,
)

EPOCH = "1970-01-01T00:00:00.000000+00:00"
NEED = MemoryNeed(1, 2, 3, 4, measured=True)
NEED_ROW = {
    "weights_bytes": 1,
    "context_bytes": 2,
    "other_bytes": 3,
    "vram_bytes": 4,
    "measured": True,
    "ram_bytes": 6,
}
VIEW = LoadedView(
    record=ModelRecord("gemma"),
    state="ready",
    engine="echo",
    since=0.0,
    expires_at=None,
    running=2,
    context_length=4096,
    size_bytes=1000,
    pid=17,
    memory=NEED,
    staged=True,
    pinned=True,
    load_s=1.23456,
    notes=("loaded from disk: full",),
    counters=EngineCounters(steps=3, compute_s=0.123456, prefill_tokens=5, cells_total=4096, cells_kept=8),
)
COPY = StagedView(Path("/models/星影.gguf"), 100, 40, "copying", pinned=False, held=True, last_used=0.0)
SPACE = StageSpace(Path("/dev/shm/x"), True, "", 1000, 100, 900)
STATUS = KernelStatus(0.0, 1.23456, running=1, waiting=2, loaded=(VIEW,), versions={"hoshikage": "1.2"})


def test_loaded_model_as_json():
    """A loaded model is shown with its state, where it lives, and what it holds."""
    row = loaded_row(VIEW)
    del row["counters"]

    assert {
        "name": "gemma",
        "state": "ready",
        "engine": "echo",
        "since": EPOCH,
        "expires_at": None,
        "running": 2,
        "context_length": 4096,
        "size_bytes": 1000,
        "memory": NEED_ROW,
        "staged": True,
        "pinned": True,
        "load_s": 1.235,
        "notes": ["loaded from disk: full"],
        "pid": 17,
    } == row


def test_the_end_of_a_loaded_model():
    """When it will be unloaded is a point in time."""
    assert EPOCH == loaded_row(replace(VIEW, expires_at=0.0))["expires_at"]


def test_counters_of_a_loaded_model():
    """Every counter of the engine is shown; times in milliseconds' precision."""
    counters = loaded_row(VIEW)["counters"]

    assert set(EngineCounters.__slots__) == set(counters)
    assert (3, 0.123, 5, 0, 4096, 8) == tuple(
        counters[name]
        for name in ("steps", "compute_s", "prefill_tokens", "decode_tokens", "cells_total", "cells_kept")
    )


def test_a_copy_as_json():
    """A copy is shown by its source, with how much of it is there."""
    assert {
        "file": "/models/星影.gguf",
        "size_bytes": 100,
        "done_bytes": 40,
        "state": "copying",
        "pinned": False,
        "held": True,
        "last_used": EPOCH,
    } == staged_row(COPY)


@pytest.mark.parametrize(
    ("space", "path"), [(SPACE, "/dev/shm/x"), (replace(SPACE, path=None, available=False, reason="no tmpfs"), None)]
)
def test_the_room_as_json(space: StageSpace, path: str | None):
    """The room of the RAM disk, or why there is none."""
    row = space_row(space)

    assert {
        "path": path,
        "available": space.available,
        "reason": space.reason,
        "limit_bytes": 1000,
        "used_bytes": 100,
        "free_bytes": 900,
    } == row


def test_no_room_at_all():
    """Where no plug-in offers a RAM disk there is nothing to show."""
    assert (None, None) == (space_row(None), status_body(STATUS)["ramdisk"])


def test_needs_have_their_sum():
    """What is in main memory is also shown together."""
    assert NEED_ROW == need_row(NEED)


def test_a_forecast_as_json():
    """Every field is there, seconds in milliseconds' precision."""
    found = LoadForecast("gemma", 0, 1, "disk", fits=True, starts_at_once=True, need=NEED, expected_s=0.123456)
    body = forecast_body(found)

    assert set(LoadForecast.__slots__) == set(body)
    assert (NEED_ROW, 0.123) == (body["need"], body["expected_s"])


def test_everything_is_json():
    """Nothing in any of these bodies is of a type that cannot be written."""
    full = replace(STATUS, staged=(COPY,), stage_space=SPACE, preloading=True)

    assert {"loaded", "staged", "ramdisk", "memory", "requests", "preloading", "versions"} <= set(
        orjson.loads(orjson.dumps(status_body(full)))
    )
