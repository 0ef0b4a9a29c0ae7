"""`/health`, `/ready`, `/v1/status` and `/v1/api/version`; see `places.py` for what changes something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint, request

from hoshikage import RouteGroup
from hoshikage.core.errors import ReceiptNotFound
from hoshikage.core.http.callers import caller_of
from hoshikage.plugins.routes_status.places import add_place_routes
from hoshikage.plugins.routes_status.rows import receipt_body, status_body

if TYPE_CHECKING:
    from hoshikage import ServerApi


def status_routes(server: ServerApi) -> RouteGroup:
    """Build the group."""
    blueprint = Blueprint("status", __name__)

    @blueprint.get("/health")
    @blueprint.get("/v1/health")
    async def health() -> dict[str, Any]:
        """The process answers; says nothing of models."""
        return {"status": "ok"}

    @blueprint.get("/ready")
    async def ready() -> tuple[dict[str, Any], int]:
        """What is to be loaded at start is loaded; a map that breaks later leaves the models that were read last."""
        now = server.status()
        status = "loading" if now.preloading else "ready"
        return {"status": status, "models": len(server.models())}, 503 if now.preloading else 200

    @blueprint.get("/v1/status")
    async def status() -> dict[str, Any]:
        return status_body(server.status())

    @blueprint.get("/v1/api/version")
    async def version() -> dict[str, Any]:
        return {"version": server.status().versions["hoshikage"]}

    @blueprint.get("/v1/receipts/<request_id>")
    async def receipt(request_id: str) -> dict[str, Any]:
        """The account of a request, for whoever sent it."""
        key = caller_of(request).key
        for found in server.receipts():
            if found.request_id == request_id and found.caller.key == key:
                return receipt_body(found)
        raise ReceiptNotFound(
            f"there is no receipt of the request {request_id[:80]!r}; the last ones are kept (receipts.keep), each for "
            "the key that the request came with",
            param="request_id",
        )

    add_place_routes(blueprint, server)
    return RouteGroup("status", blueprint)
