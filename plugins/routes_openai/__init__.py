"""OpenAI routes: chat completions and the list of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import RouteGroup, ServerApi


@hookimpl
def hoshikage_provide_routes(server: ServerApi) -> Sequence[RouteGroup]:
    """Offer the routes."""
    from hoshikage.plugins.routes_openai.routes import openai_routes

    return [openai_routes(server)]
