"""Memory routes: list, search, write, correct, forget, export and import what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import RouteGroup, ServerApi


@hookimpl
def hoshikage_provide_routes(server: ServerApi) -> Sequence[RouteGroup]:
    """Offer the routes."""
    from hoshikage.plugins.routes_memory.routes import memory_routes

    return [memory_routes(server)]
