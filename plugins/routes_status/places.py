"""`/v1/plan`, and what moves a model between the tiers: `/v1/stage`, `unstage`, `load`, `unload`, `pin`, `unpin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import request

from hoshikage.core.http.body import read_body
from hoshikage.core.http.callers import caller_of
from hoshikage.core.http.durations import keep_alive_s
from hoshikage.plugins.routes_status.bodies import LoadBody, ModelBody, PlanBody
from hoshikage.plugins.routes_status.rows import forecast_body

if TYPE_CHECKING:
    from quart import Blueprint

    from hoshikage import ServerApi


def add_place_routes(blueprint: Blueprint, server: ServerApi) -> None:
    """Register them."""

    @blueprint.post("/v1/plan")
    async def plan() -> dict[str, Any]:
        """What loading a model would take; nothing is done."""
        body = await read_body(PlanBody)
        found = await server.forecast(body.model, context_length=body.num_ctx or 0, parallel=body.parallel or 1)
        return forecast_body(found)

    @blueprint.post("/v1/stage")
    async def stage() -> dict[str, Any]:
        """Answers once the copy is whole."""
        name = (await read_body(ModelBody)).model
        await server.stage(name)
        return {"model": name, "staged": True}

    @blueprint.post("/v1/unstage")
    async def unstage() -> dict[str, Any]:
        name = (await read_body(ModelBody)).model
        return {"model": name, "gone": await server.unstage(name)}

    @blueprint.post("/v1/load")
    async def load() -> dict[str, Any]:
        """Answers once the model is loaded."""
        body = await read_body(LoadBody)
        keep = keep_alive_s(body.keep_alive)
        await server.load(body.model, keep_alive_s=keep, caller=caller_of(request), context_length=body.num_ctx)
        return {"model": body.model, "loaded": True}

    @blueprint.post("/v1/unload")
    async def unload() -> dict[str, Any]:
        """Answers at once; the model goes when its running requests have ended."""
        name = (await read_body(ModelBody)).model
        await server.unload(name)
        return {"model": name, "asked": True}

    @blueprint.post("/v1/pin")
    async def pin() -> dict[str, Any]:
        name = (await read_body(ModelBody)).model
        await server.pin(name, pinned=True)
        return {"model": name, "pinned": True}

    @blueprint.post("/v1/unpin")
    async def unpin() -> dict[str, Any]:
        name = (await read_body(ModelBody)).model
        await server.pin(name, pinned=False)
        return {"model": name, "pinned": False}
