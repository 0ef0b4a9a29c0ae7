"""What runs in the embedder's own process. Importing the library takes seconds, and half a gigabyte."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hoshikage.core.embedding.forms import TextForm, readable
from hoshikage.core.embedding.scale import ANSWERS, QUESTIONS, related_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hoshikage import TextKind

CHARS_OF_TOKEN: Final = 8  # no more than that of a text is taken apart
BATCH: Final = 8
ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",  # what is missing would be asked for on the network again and again, for over a minute
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # the terminal is the server's log
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model is loaded.

    Attributes:
        path: its folder.
        form: see there; 0 tokens leave it to the model.
    """

    path: str
    form: TextForm
    trust_remote_code: bool
    device: str
    threads: int


_model: Any = None
_loaded: Loading | None = None


def download(model: str) -> str:
    """Fetch a model of the Hub. Returns its folder."""
    from huggingface_hub import snapshot_download

    return str(snapshot_download(model, ignore_patterns=["onnx/*", "openvino/*", "*.msgpack", "*.h5", "*.ot"]))


def measure(loading: Loading) -> float:
    """Load the model; from which cosine texts are related for it."""
    return related_from(embed(loading, QUESTIONS, "query"), embed(loading, ANSWERS, "document"))


def embed(loading: Loading, texts: tuple[str, ...], kind: TextKind) -> NDArray[np.float32]:
    """One vector for each text."""
    global _model, _loaded
    if _loaded != loading:
        _model, _loaded = _load(loading), loading
    longest = CHARS_OF_TOKEN * loading.form.max_tokens
    vectors: NDArray[np.float32] = _model.encode(
        [readable(text, longest) for text in texts],
        prompt=loading.form.query if kind == "query" else loading.form.document,
        batch_size=BATCH,
        show_progress_bar=False,
        normalize_embeddings=True,
    )
    return vectors.astype("float32")


def _load(loading: Loading) -> Any:
    os.environ |= ENVIRONMENT
    import torch
    from sentence_transformers import SentenceTransformer
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own one is for several processes, and outlives one that is killed
    torch.set_num_threads(loading.threads)
    model = SentenceTransformer(loading.path, device=loading.device, trust_remote_code=loading.trust_remote_code)
    own = model.max_seq_length or loading.form.max_tokens
    model.max_seq_length = min(own, loading.form.max_tokens)
    return model
