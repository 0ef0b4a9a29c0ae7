"""Cutting embeddings to the length that was asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from hoshikage.core.errors import InvalidRequest

if TYPE_CHECKING:
    from hoshikage.core.contracts import Embeddings


def check_dimensions(wanted: int | None, available: int) -> None:
    """Refuse a length that the model's vectors do not have; with `available` 0 only impossible ones.

    Raises:
        InvalidRequest: the length is below 1, or more than there is.
    """
    if wanted is None:
        return
    if wanted < 1:
        raise InvalidRequest(f"dimensions is {wanted}; it must be at least 1", param="dimensions")
    if available and wanted > available:
        raise InvalidRequest(
            f"dimensions is {wanted}, but the model's vectors have {available}; ask for at most as many",
            param="dimensions",
        )


def shortened(embeddings: Embeddings, dimensions: int | None) -> Embeddings:
    """The first so many numbers of each vector, at length 1 again; all of them for `None`.

    Raises:
        InvalidRequest: the vectors are shorter than that.
    """
    if dimensions is None or not embeddings.vectors:
        return embeddings
    check_dimensions(dimensions, len(embeddings.vectors[0]))
    return replace(embeddings, vectors=tuple(_unit(vector[:dimensions]) for vector in embeddings.vectors))


def _unit(vector: tuple[float, ...]) -> tuple[float, ...]:
    length = math.hypot(*vector)
    return tuple(x / length for x in vector) if length else vector
