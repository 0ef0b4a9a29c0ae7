"""llama.cpp inside the test's own process: a model and its embedder, without a worker around them."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from hoshikage import ModelRecord
from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.engine import init_frame
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hoshikage.plugins.engine_llamacpp.worker.embedding import Answer, Embedder
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog, NativeModel

SMALL: dict[str, Any] = {"n_ctx": 512, "n_batch": 64, "n_ubatch": 64, "n_threads": 1, "n_gpu_layers": 0}
MAX_STEPS = 1000


def init_of(file: Path, **options: Any) -> frames.Init:
    """The first frame for a small model, with settings changed by `options`."""
    return init_frame(ModelRecord("tiny", file, options={**SMALL, **options}), LlamaCppSettings())


@contextlib.contextmanager
def native_model(init: frames.Init) -> Iterator[NativeModel]:
    """Load a model, and close it at the end."""
    import llama_cpp

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

    log = _silent_log()
    llama_cpp.llama_log_set(log._callback, ctypes.c_void_p(0))  # another test may have set one that is gone by now
    model = NativeModel(init, log)
    try:
        yield model
    finally:
        model.close()


@functools.cache
def _silent_log() -> NativeLog:
    """One log for the whole process: llama.cpp calls it as long as any model is open."""
    import llama_cpp

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog

    # At the very end it is freed, and llama.cpp goes on writing to stderr.
    atexit.register(llama_cpp.llama_log_set, llama_cpp.llama_log_callback(), ctypes.c_void_p(0))
    return NativeLog(lambda *_: None)


@contextlib.contextmanager
def embedders() -> Iterator[Callable[..., Embedder]]:
    """Open embedders for model files, with settings changed by options; all are closed at the end."""
    from hoshikage.plugins.engine_llamacpp.worker.embedding import Embedder

    with contextlib.ExitStack() as stack:

        def open_(file: Path, **options: Any) -> Embedder:
            init = init_of(file, **options)
            embedder = Embedder(stack.enter_context(native_model(init)), init)
            stack.callback(embedder.close)
            return embedder

        yield open_


def answers(embedder: Embedder) -> list[Answer]:
    """Compute until nothing is left, and return the answers in their order."""
    found = []
    for _ in range(MAX_STEPS):
        if not embedder.busy:
            return found
        found += embedder.step()
    raise AssertionError(f"the embedder is busy after {MAX_STEPS} steps")


def vectors(answer: Answer) -> np.ndarray:
    """The vectors of an answer, one in each row."""
    assert isinstance(answer, frames.Embedded), answer
    return np.frombuffer(answer.vectors, "<f4").reshape(-1, answer.dimensions)


def embed(embedder: Embedder, *inputs: str | list[int], truncate: bool = False) -> np.ndarray:
    """The vectors of inputs that are one request."""
    assert embedder.add(frames.Embed(1, list(inputs), truncate)) is None
    (answer,) = answers(embedder)
    return vectors(answer)


def scores(embedder: Embedder, query: str, *documents: str) -> list[float]:
    """The scores of documents that are one request."""
    assert embedder.add(frames.Rerank(1, query, list(documents))) is None
    (answer,) = answers(embedder)
    assert isinstance(answer, frames.Scored), answer
    return answer.scores
