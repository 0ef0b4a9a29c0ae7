"""`/health`, `/ready`, `/v1/status` and `/v1/api/version`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from quart import Blueprint

from hoshikage import RouteGroup
from hoshikage.core.http.times import rfc3339

if TYPE_CHECKING:
    from hoshikage import ServerApi
    from hoshikage.core.contracts import LoadedView


def status_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("status", __name__)

    @blueprint.get("/health")
    @blueprint.get("/v1/health")
    async def health() -> dict[str, Any]:
        """The process answers; says nothing of models."""
        return {"status": "ok"}

    @blueprint.get("/ready")
    async def ready() -> dict[str, Any]:
        """The model map can be read; a broken one is an error of its own."""
        return {"status": "ready", "models": len(server.models())}

    @blueprint.get("/v1/status")
    async def status() -> dict[str, Any]:
        now = server.status()
        return {
            "status": "ok",
            "started_at": rfc3339(now.started_at),
            "uptime_s": round(now.uptime_s, 3),
            "requests": {"running": now.running, "waiting": now.waiting},
            "loaded": [loaded_row(view) for view in now.loaded],
            "versions": dict(now.versions),
        }

    @blueprint.get("/v1/api/version")
    async def version() -> dict[str, Any]:
        return {"version": server.status().versions["hoshikage"]}

    return RouteGroup("status", blueprint)


def loaded_row(view: LoadedView) -> dict[str, Any]:
    """One loaded model as JSON."""
    return {
        "name": view.record.name,
        "state": view.state,
        "engine": view.engine,
        "since": rfc3339(view.since),
        "expires_at": rfc3339(view.expires_at) if view.expires_at is not None else None,
        "running": view.running,
        "context_length": view.context_length,
        "size_bytes": view.size_bytes,
        "pid": view.pid,
        "counters": {**asdict(view.counters), "compute_s": round(view.counters.compute_s, 3)},
    }
