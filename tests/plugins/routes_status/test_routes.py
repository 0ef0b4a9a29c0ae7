"""What the status routes show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from quart import Quart

from hoshikage import EngineCounters, ModelRecord
from hoshikage.core.contracts import KernelStatus, LoadedView
from hoshikage.plugins.routes_status.routes import status_routes
from tests.fakes import until

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


# --- through the whole application ---


async def test_ready_waits_for_the_models_of_the_settings(place_of):
    """While what is to be loaded at start is loading, the server is alive and not ready."""
    place = await place_of(HOSHIKAGE_RESIDENCY__PRELOAD='["small"]', HOSHIKAGE_ECHO__LOAD_DELAY_S="0.3")
    at_first = await place.get("/ready")
    alive, _ = await place.get("/health")
    _, status = await place.get("/v1/status")
    await until(lambda: not place.kernel.status().preloading)

    assert ((503, {"status": "loading", "models": 3}), 200, True) == (at_first, alive, status["preloading"])
    assert ((200, {"status": "ready", "models": 3}), ["small"]) == (await place.get("/ready"), place.loaded())


async def test_a_preload_that_fails_does_not_keep_the_server_from_being_ready(place_of):
    """What cannot be loaded is passed over; requests to it say why."""
    place = await place_of(HOSHIKAGE_RESIDENCY__PRELOAD='["nobody", "big", "small"]')
    await until(lambda: not place.kernel.status().preloading)

    assert (200, ["small"]) == ((await place.get("/ready"))[0], place.loaded())


async def test_without_preload_it_is_ready_at_once(place):
    """Nothing is waited for."""
    assert (200, {"status": "ready", "models": 3}) == await place.get("/ready")


async def test_a_model_map_that_breaks_meanwhile(place):
    """The models that were read last go on being served, so the server stays ready."""
    (place.kernel.settings.data_dir / "model_map.json").write_text("{oops")

    assert (200, {"status": "ready", "models": 3}) == await place.get("/ready")


async def test_status_shows_all_tiers(place):
    """From the loaded model down to its copy on the RAM disk, with the room and the memory there."""
    await place.post("/v1/load", model="small")
    await place.post("/v1/pin", model="small")
    _, status = await place.get("/v1/status")
    (loaded,), (staged,), ramdisk = status["loaded"], status["staged"], status["ramdisk"]
    data = place.kernel.settings.data_dir

    assert ("small", True, True, 1000, []) == (
        loaded["name"],
        loaded["staged"],
        loaded["pinned"],
        loaded["memory"]["ram_bytes"],
        loaded["notes"],
    )
    assert (str(data / "files" / "small.gguf"), 100, 100, "ready", True, True) == tuple(
        staged[key] for key in ("file", "size_bytes", "done_bytes", "state", "pinned", "held")
    )
    assert (str(data / "ram"), True, "", 100) == tuple(
        ramdisk[key] for key in ("path", "available", "reason", "used_bytes")
    )
    assert (1000, 0, None) == tuple(status["memory"][key] for key in ("ram_bytes", "vram_bytes", "free_vram_bytes"))
    assert status["memory"]["free_ram_bytes"] > 0


async def test_status_says_why_a_model_was_loaded_from_disk(place_of):
    """Without a RAM disk its reason is there, and at the loaded model."""
    place = await place_of(available=False)
    await place.post("/v1/load", model="small")
    _, status = await place.get("/v1/status")

    assert (False, "told so", []) == (status["ramdisk"]["available"], status["ramdisk"]["reason"], status["staged"])
    assert (False, ["loaded from disk: told so"]) == (status["loaded"][0]["staged"], status["loaded"][0]["notes"])
