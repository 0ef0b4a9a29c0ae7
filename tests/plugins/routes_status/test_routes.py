"""What the status routes show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from quart import Quart

from hoshikage import EngineCounters, ModelRecord
from hoshikage.core.contracts import KernelStatus, LoadedView
from hoshikage.plugins.routes_status.routes import loaded_row, status_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    counters=EngineCounters(steps=3, compute_s=0.123456, prefill_tokens=5, cells_total=4096, cells_kept=8),
)


class Server:
    """As much of the kernel as the routes ask."""

    def models(self) -> Sequence[ModelRecord]:
        return [VIEW.record]

    def status(self) -> KernelStatus:
        return KernelStatus(0.0, 1.23456, running=1, waiting=2, loaded=(VIEW,), versions={"hoshikage": "1.2"})


@pytest.fixture
def client():
    """A client of an application with these routes alone."""
    app = Quart(__name__)
    app.register_blueprint(status_routes(Server()).blueprint)
    return app.test_client()


def test_loaded_model_as_json():
    """A loaded model is shown with its state and what it holds."""
    row = loaded_row(VIEW)
    del row["counters"]

    assert {
        "name": "gemma",
        "state": "ready",
        "engine": "echo",
        "since": "1970-01-01T00:00:00.000000+00:00",
        "expires_at": None,
        "running": 2,
        "context_length": 4096,
        "size_bytes": 1000,
        "pid": 17,
    } == row


def test_counters_of_a_loaded_model():
    """Every counter of the engine is shown; times in milliseconds' precision."""
    counters = loaded_row(VIEW)["counters"]

    assert set(EngineCounters.__slots__) == set(counters)
    assert (3, 0.123, 5, 0, 4096, 8) == tuple(
        counters[name]
        for name in ("steps", "compute_s", "prefill_tokens", "decode_tokens", "cells_total", "cells_kept")
    )


async def test_status_route_shows_the_whole(client):
    """The status has the requests, the loaded models with their counters, and the versions."""
    status = await (await client.get("/v1/status")).get_json()

    assert ({"running": 1, "waiting": 2}, 1.235, {"hoshikage": "1.2"}) == (
        status["requests"],
        status["uptime_s"],
        status["versions"],
    )
    assert [("gemma", 3)] == [(row["name"], row["counters"]["steps"]) for row in status["loaded"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/health", {"status": "ok"}),
        ("/v1/health", {"status": "ok"}),
        ("/ready", {"status": "ready", "models": 1}),
        ("/v1/api/version", {"version": "1.2"}),
    ],
)
async def test_small_routes(client, path: str, body: dict[str, object]):
    """Alive, ready and version are one line each."""
    assert body == await (await client.get(path)).get_json()
