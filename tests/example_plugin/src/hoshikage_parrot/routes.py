"""A route of the plug-in's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint

from hoshikage import RouteGroup

if TYPE_CHECKING:
    from hoshikage import ServerApi


def parrot_routes(server: ServerApi) -> RouteGroup:
    blueprint = Blueprint("parrot", __name__)

    @blueprint.get("/parrot")
    async def count() -> dict[str, int]:
        return {"answers": sum(r.model == "parrot" for r in server.receipts())}

    return RouteGroup("parrot", blueprint)
