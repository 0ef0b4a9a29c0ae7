"""What turns texts into vectors for long-term memory, beside the models that are served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

TextKind = Literal["query", "document"]


class Embedder(Protocol):
    """Turns texts into vectors, in which near means alike.

    Attributes:
        identity: model, version and prefixes; vectors of two identities have nothing to say to each other.
        dimensions: numbers of a vector.
        related_from: the cosine from which two texts are about the same thing, as a rule; below it the order of
            cosines means little.
    """

    name: str
    identity: str
    dimensions: int
    related_from: float

    async def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        """One vector for each text, of length 1: shape (texts, dimensions). Loads the model the first time.

        Raises:
            EmbedderFailed: it cannot be loaded, or died.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds. Idempotent."""
        ...
