"""Ollama routes: version, models, what is loaded, chat, generate and embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import RouteGroup, ServerApi


@hookimpl
def hoshikage_provide_routes(server: ServerApi) -> Sequence[RouteGroup]:
    """Offer the routes."""
    from hoshikage.plugins.routes_ollama.routes import ollama_routes

    return [ollama_routes(server)]
