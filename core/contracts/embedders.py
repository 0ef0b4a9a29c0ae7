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
        identity: model, version and prefixes; vectors of two identities have nothing to say to each other. It and
            `dimensions` hold once `start` has returned.
        dimensions: numbers of a vector.
        related_from: the cosine from which two texts are about the same thing, as a rule; below it the order of
            cosines means little. It holds once something was embedded.
    """

    name: str
    identity: str
    dimensions: int
    related_from: float

    def at_hand(self) -> bool:
        """Whether it may be taken where the settings name none: its model is on this machine. Loads nothing."""
        ...

    async def start(self) -> None:
        """Find out what its vectors are, without loading the model; called before the first `embed`.

        Raises:
            EmbedderFailed: there is no such model, and what to do. It may be called again later.
        """
        ...

    async def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        """One vector for each text, of length 1: shape (texts, dimensions). Loads the model the first time.

        Raises:
            EmbedderFailed: it cannot be loaded, or died.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds. Idempotent."""
        ...
