"""How llama.cpp lays out a model and its context: what goes to GPUs, and how large its buffers become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hoshikage.core.gguf.quantization import TENSOR_TYPES
from hoshikage.plugins.engine_llamacpp.shape import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.gguf import TensorInfo
    from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
    from hoshikage.plugins.engine_llamacpp.shape import Layer, Shape

F32_BYTES: Final = 4
MASK_BYTES: Final = 2  # of one cell for one token, with fused attention; else F32
CELL_PAD: Final = 256
MAX_SLOTS: Final = 256  # llama.cpp's LLAMA_MAX_SEQ
TYPES: Final = {kind.name.lower(): kind for kind in TENSOR_TYPES.values()}


class Layout:
    """Who lies where, and how large.

    Attributes:
        n_gpu_layers: layers on GPUs; the output counts as one, the last.
    """

    def __init__(self, shape: Shape, settings: LlamaCppSettings, context_length: int, *, has_gpu: bool) -> None:
        self._shape = shape
        self._settings = settings
        asked = context_length or settings.n_ctx or shape.n_ctx_train
        self._n_ctx = _padded(min(asked, shape.n_ctx_train) if shape.n_ctx_train else asked)
        self._n_ubatch = min(settings.n_ubatch, settings.n_batch, self._n_ctx)
        self._n_slots = min(settings.max_num_seqs + settings.max_cached_seqs, MAX_SLOTS)
        quantised = settings.cache_type_v not in {"f32", "f16", "bf16"}
        self._fused = settings.flash_attention != "off" or quantised  # llama.cpp needs it for that, and turns it on
        n_layers = max(shape.layers, default=-1) + 1
        wanted = settings.n_gpu_layers if settings.n_gpu_layers >= 0 else n_layers + 1
        self.n_gpu_layers = min(wanted, n_layers + 1) if has_gpu else 0
        self._first_gpu_layer = n_layers + 1 - self.n_gpu_layers

    def share_out(self, tensors: Sequence[TensorInfo]) -> tuple[list[TensorInfo], list[TensorInfo]]:
        """The tensors that stay in main memory, and those that go to GPUs."""
        on_gpu = [t for t in tensors if self._goes_to_gpu(t.name)]
        names = {t.name for t in on_gpu}
        return [t for t in tensors if t.name not in names], on_gpu

    def context_bytes(self, *, gpu: bool) -> int:
        """KV cache and running states of the layers there.

        A sliding window makes no difference: the worker leaves llama.cpp's `swa_full` on, so that such a layer
        remembers the whole context as well.
        """
        layers = [layer for n, layer in self._shape.layers.items() if (n >= self._first_gpu_layer) == gpu]
        return sum(self._layer_bytes(layer) for layer in layers)

    def output_bytes(self) -> int:
        """The scores of one token of each sequence."""
        return self._n_slots * self._shape.n_vocab * F32_BYTES

    def compute_bytes(self) -> int:
        """What computing a full batch uses of main memory, when every sequence in it wants a token."""
        if self.n_gpu_layers > len(self._shape.layers):
            return self._mask_bytes() + 2 * self._shape.n_embd * self._n_ubatch * F32_BYTES
        n_outputs = min(self._settings.max_num_seqs, self._n_ubatch)
        return max(self._layers_bytes(), self._scores_bytes(n_outputs))

    def reserved_bytes(self) -> int:
        """What llama.cpp reserves for computing: it has room for the scores of a whole batch, and of every sequence.

        On a GPU that is taken at once; in main memory, pages that are never written cost nothing.
        """
        return max(self._layers_bytes(), self._scores_bytes(max(self._n_ubatch, self._n_slots)))

    def _goes_to_gpu(self, name: str) -> bool:
        if found := BLOCK.fullmatch(name):
            return int(found[1]) >= self._first_gpu_layer
        return self.n_gpu_layers > 0 and name.startswith("output")

    def _layer_bytes(self, layer: Layer) -> int:
        k_bytes = _row_bytes(self._settings.cache_type_k, layer.k_width)
        v_bytes = _row_bytes(self._settings.cache_type_v, layer.v_width)
        return self._n_ctx * (k_bytes + v_bytes) + self._n_slots * layer.state_bytes

    def _layers_bytes(self) -> int:
        """The most that is alive at once inside a layer, as llama.cpp's allocator was seen to place it."""
        s = self._shape
        inside = 2 * s.n_embd + 2 * s.n_query + 2 * s.n_kv
        numbers = max(3 * s.n_ff + 4 * s.n_embd, inside)
        if not self._fused:
            # The attention of all heads to all cells exists as a whole.
            numbers = max(numbers, inside + s.n_embd + s.n_head * self._n_ctx)
        return numbers * self._n_ubatch * F32_BYTES + self._mask_bytes()

    def _mask_bytes(self) -> int:
        cell_bytes = MASK_BYTES if self._fused else F32_BYTES
        return self._shape.n_masks * self._n_ctx * self._n_ubatch * cell_bytes

    def _scores_bytes(self, n_outputs: int) -> int:
        return (self._shape.n_vocab + 2 * self._shape.n_embd) * n_outputs * F32_BYTES


def _row_bytes(kind_name: str, width: int) -> int:
    kind = TYPES[kind_name]
    return -(-width // kind.block_size) * kind.block_bytes


def _padded(n_ctx: int) -> int:
    return -(-n_ctx // CELL_PAD) * CELL_PAD
