"""Requests that ask nothing of a model but to be there, or to be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from quart import request

from hoshikage.core.http.callers import caller_of

if TYPE_CHECKING:
    from hoshikage import ServerApi


async def load_or_unload(
    server: ServerApi, model: str, keep_alive_s: float | None, context_length: int | None = None
) -> Literal["load", "unload"]:
    """Load a model, or with a `keep_alive` of 0 let it go. Returns which of them was done."""
    if keep_alive_s == 0:
        await server.unload(model)
        return "unload"
    await server.load(model, keep_alive_s=keep_alive_s, caller=caller_of(request), context_length=context_length)
    return "load"
