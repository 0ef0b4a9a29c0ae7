"""A llama.cpp context that makes one vector, or one score, of all tokens of an input."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from hoshikage.plugins.engine_llamacpp.worker.native import FLASH_ATTENTION

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from numpy.typing import NDArray

    from hoshikage.plugins.engine_llamacpp.frames import Init
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

NONE, MEAN, CLS, LAST, RANK = range(5)  # llama_pooling_type
BY_NAME = {"mean": MEAN, "cls": CLS, "last": LAST}
MAX_INPUTS = 32
MAX_STATES = 4  # a running state can be tens of megabytes for each input
# A model that generates computes the logits of every token also where nobody asks for them.
MAX_LOGITS_BYTES = 1 << 29
CELL_BLOCK = 256  # llama.cpp rounds its cells up to this, and aborts where a batch is larger than what it rounded


class ComputeFailed(Exception):
    """llama.cpp could not compute a step."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens of one input, from `position` on, for the sequence number `slot`."""

    tokens: Seq[int]
    position: int
    slot: int


class PooledContext:
    """The context over a loaded model's weights; it is made when the first input comes, and grows with them.

    Attributes:
        pooling: how.
        splits: whether an input may come in several steps. Only where its last token stands for all of it.
        step_tokens: tokens in one step, unless an input that cannot be split is longer.
        longest: the most tokens that an input can have.
        n_slots: inputs under way at once.
        size: tokens of the longest input that it has room for now.
    """

    def __init__(self, model: NativeModel, init: Init, pooling: int) -> None:
        self._model = model
        self._init = init
        self.pooling = pooling
        self.splits: bool = pooling == LAST and model.generates
        trained = llama_cpp.llama_model_n_ctx_train(model.model)
        bound = min(init.n_ctx or trained, trained)
        self.step_tokens: int = min(init.n_ubatch, init.n_batch, bound)
        self.longest: int = bound
        if model.generates and not self.splits:
            self.longest = min(bound, max(self.step_tokens, MAX_LOGITS_BYTES // (4 * model.n_vocab)))
        state = llama_cpp.llama_model_is_recurrent(model.model) or llama_cpp.llama_model_is_hybrid(model.model)
        self.n_slots: int = MAX_STATES if state else MAX_INPUTS
        self.size: int = 0
        self._context: Any = None
        self._memory: Any = None
        self._batch: Any = None

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return int(llama_cpp.llama_model_n_embd_out(self._model.model))

    def grow(self, n_tokens: int) -> None:
        """Make room for an input of so many tokens. What was computed before is lost.

        Raises:
            ComputeFailed: there is not enough memory.
        """
        self.close()
        size = self.step_tokens
        while size < n_tokens:
            size *= 2
        size = min(size, self.longest)
        per_step = self.step_tokens if self.splits else _rounded(size)
        capacity = _rounded(size + per_step) if self.splits else per_step
        self._context = llama_cpp.llama_init_from_model(self._model.model, self._params(capacity, per_step))
        if not self._context:
            raise ComputeFailed(f"no context for inputs of {size} tokens can be made: there is not enough memory")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(per_step, 0, 1)
        self.size = size

    def _params(self, n_ctx: int, n_batch: int) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = n_batch
        params.n_ubatch = n_batch  # in two pieces, the second one's pooling would overwrite the first's
        params.n_seq_max = self.n_slots
        params.n_threads = self._init.n_threads
        params.n_threads_batch = self._init.n_threads
        params.flash_attn_type = FLASH_ATTENTION[self._init.flash_attention]
        params.embeddings = True
        params.pooling_type = self.pooling
        params.kv_unified = True  # else llama.cpp would cut inputs of different lengths into pieces
        params.no_perf = True
        return params

    def compute(self, pieces: Seq[Piece]) -> None:
        """Compute one step.

        Raises:
            ComputeFailed: llama.cpp says so; what is left of these inputs in the memory must be forgotten.
        """
        batch = self._batch
        row = 0
        for piece in pieces:
            for offset, token in enumerate(piece.tokens):
                batch.token[row] = token
                batch.pos[row] = piece.position + offset
                batch.n_seq_id[row] = 1
                batch.seq_id[row][0] = piece.slot
                batch.logits[row] = True
                row += 1
        batch.n_tokens = row
        code = (llama_cpp.llama_decode if self._memory else llama_cpp.llama_encode)(self._context, batch)
        if code != 0:
            raise ComputeFailed(f"llama.cpp could not compute the vectors (code {code})")

    def vector(self, slot: int) -> NDArray[np.float64]:
        """What the last step made of the sequence.

        Raises:
            ComputeFailed: there is none, or it has numbers that are not finite.
        """
        numbers = llama_cpp.llama_get_embeddings_seq(self._context, slot)
        if not numbers:
            raise ComputeFailed("llama.cpp made no vector of the input")
        count = 1 if self.pooling == RANK else self.dimensions
        vector = np.ctypeslib.as_array(numbers, shape=(count,)).astype(np.float64)
        if not np.isfinite(vector).all():
            raise ComputeFailed("the model computed numbers that are not finite; its file may be damaged")
        return vector

    def forget(self, slot: int) -> None:
        """Free the cells of a sequence."""
        if self._memory:
            llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def close(self) -> None:
        """Free the memory; the next `grow` makes it anew."""
        if self._context:
            llama_cpp.llama_free(self._context)
        if self._batch is not None:
            llama_cpp.llama_batch_free(self._batch)
        self._context = self._memory = self._batch = None
        self.size = 0


def _rounded(n_tokens: int) -> int:
    return -(-n_tokens // CELL_BLOCK) * CELL_BLOCK


def pooling_of_file(model: Any) -> int:
    """What the file says about pooling; `NONE` where it says nothing."""
    value = meta_text(model, f"{architecture(model)}.pooling_type")
    return int(value) if value.isdecimal() else NONE


def architecture(model: Any) -> str:
    """The kind of the model, as the file names it."""
    return meta_text(model, "general.architecture")


def meta_text(model: Any, key: str) -> str:
    """A value of the file's metadata as text, or nothing."""
    buffer = ctypes.create_string_buffer(256)
    n = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace") if n >= 0 else ""
