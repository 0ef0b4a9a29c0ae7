"""The sizes of a model that decide what it takes, read from its header without trusting it.

Nearly all of them are taken from the shapes of the tensors: these are checked against the size of the file, and they
hold for every layer by itself, where the metadata has an array that the header does not keep.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.gguf import GgufHeader, TensorInfo

ARCHITECTURE_KEY: Final = "general.architecture"
BLOCK: Final = re.compile(r"blk\.(\d{1,5})\.(.+)")
MAX_NUMBER: Final = 2**32 - 1  # llama.cpp reads these values into 32 bits
F32_BYTES: Final = 4
TOKEN_SHIFTS: Final = 2  # of RWKV, where the file does not say

# llama.cpp gives these no memory: each input is computed at once. Source: `create_memory` in llama-model.cpp.
WITHOUT_CACHE: Final = frozenset(
    {
        *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert"),
        *("eurobert", "gemma-embedding", "wavtokenizer-dec", "dream", "llada", "llada-moe", "rnd1"),
    }
)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer remembers.

    Attributes:
        k_width: numbers of K for each token; 0 where it has no attention.
        v_width: the same of V.
        state_bytes: the running state of each sequence, of a recurrent layer.
    """

    k_width: int = 0
    v_width: int = 0
    state_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model.

    Attributes:
        layers: what each layer remembers, by its number.
        n_embd: width of the text that goes from layer to layer.
        n_ff: numbers of the widest feed-forward part that are computed for a token, of all its experts together.
        n_query: width of the widest query.
        n_kv: width of the widest K or V.
        n_head: attention heads.
        n_vocab: tokens of the output.
        n_ctx_train: tokens it was trained for; 0 where the file does not say.
        n_masks: attention masks of a step: a sliding window has one of its own.
        n_tokens: entries of the vocabulary.
        n_merges: merge rules of the vocabulary.
        tied: the output matrix is the embedding matrix.
    """

    layers: dict[int, Layer]
    n_embd: int
    n_ff: int
    n_query: int
    n_kv: int
    n_head: int
    n_vocab: int
    n_ctx_train: int
    n_masks: int
    n_tokens: int
    n_merges: int
    tied: bool


def shape_of(header: GgufHeader) -> Shape:
    """Read the sizes.

    Raises:
        ModelFileError: a value has a wrong type or is impossible.
    """
    facts = _Facts(header)
    blocks = _blocks(header.tensors)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    n_embd, n_vocab = _rows(tensors.get("token_embd.weight"))
    layers = {number: facts.layer(number, block, n_embd=n_embd) for number, block in blocks.items()}
    return Shape(
        layers=layers,
        n_embd=n_embd,
        n_ff=max((facts.feed_forward(block) for block in blocks.values()), default=0),
        n_query=max((_query_width(block) for block in blocks.values()), default=0),
        n_kv=max((max(layer.k_width, layer.v_width) for layer in layers.values()), default=0),
        n_head=facts.number("attention.head_count"),
        n_vocab=n_vocab,
        n_ctx_train=facts.number("context_length"),
        n_masks=2 if facts.number("attention.sliding_window") else 1,
        n_tokens=facts.length("tokenizer.ggml.tokens"),
        n_merges=facts.length("tokenizer.ggml.merges"),
        tied="output.weight" not in tensors,
    )


class _Facts:
    """The metadata of one architecture."""

    def __init__(self, header: GgufHeader) -> None:
        architecture = header.metadata.get(ARCHITECTURE_KEY)
        self._header = header
        self._architecture = architecture if isinstance(architecture, str) else ""
        self._n_blocks = self.number("block_count")
        self._n_sharing = self.number("attention.shared_kv_layers")
        self._remembers = (
            self._architecture not in WITHOUT_CACHE
            and header.metadata.get(f"{self._architecture}.attention.causal") is not False
        )

    def number(self, key: str) -> int:
        """A value of the architecture; 0 where the file has none, or one for each layer."""
        key = f"{self._architecture}.{key}"
        value = self._header.metadata.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
            raise ModelFileError(
                f"{self._header.file}: {key} is {str(value)[:80]!r}, but it must be a whole number of at most "
                f"{MAX_NUMBER}; the file is damaged: download it again"
            )
        return value

    def length(self, key: str) -> int:
        """How many elements an array has."""
        return self._header.arrays[key][1] if key in self._header.arrays else 0

    def layer(self, number: int, block: dict[str, TensorInfo], *, n_embd: int) -> Layer:
        """What a layer remembers."""
        if not self._remembers:
            return Layer()
        shares = self._n_sharing and number >= self._n_blocks - self._n_sharing
        k_width, v_width = (0, 0) if shares else _cache_widths(block)
        return Layer(k_width, v_width, self._state_numbers(block, n_embd=n_embd) * F32_BYTES)

    def feed_forward(self, block: dict[str, TensorInfo]) -> int:
        """The inner width of a layer; experts that are not chosen are not computed."""
        dense = max(_rows(block.get(f"{name}.weight"))[1] for name in ("ffn_up", "ffn_gate", "ssm_in"))
        experts = max(_rows(block.get(f"ffn_{name}.weight"))[1] for name in ("up_exps", "gate_exps", "gate_up_exps"))
        return max(dense, experts * max(self.number("expert_used_count"), 1))

    def _state_numbers(self, block: dict[str, TensorInfo], *, n_embd: int) -> int:
        """The numbers of a running state; by the formulas of `n_embd_r` and `n_embd_s` in llama-hparams.cpp."""
        if "ssm_conv1d.weight" in block:
            n_conv, channels = _rows(block["ssm_conv1d.weight"])
            return max(n_conv - 1, 0) * channels + self.number("ssm.state_size") * self.number("ssm.inner_size")
        if "shortconv.conv.weight" in block:
            return n_embd * max(self.number("shortconv.l_cache") - 1, 0)
        if any(name.startswith("time_mix_") for name in block):
            return n_embd * ((self.number("token_shift_count") or TOKEN_SHIFTS) + self.number("wkv.head_size"))
        return 0


def _blocks(tensors: Sequence[TensorInfo]) -> dict[int, dict[str, TensorInfo]]:
    """The tensors of each layer, by the rest of their names."""
    blocks: defaultdict[int, dict[str, TensorInfo]] = defaultdict(dict)
    for tensor in tensors:
        if found := BLOCK.fullmatch(tensor.name):
            blocks[int(found[1])][found[2]] = tensor
    return dict(blocks)


def _cache_widths(block: dict[str, TensorInfo]) -> tuple[int, int]:
    """The widths of K and V as they are cached."""
    output_width = _rows(block.get("attn_output.weight"))[0]
    if "attn_k_b.weight" in block:  # latent attention with its matrices folded in: one narrow K, and no V
        return _rows(block.get("attn_kv_a_mqa.weight"))[1], 0
    if "attn_kv_b.weight" in block:  # latent attention unfolded: K is as wide as the query
        return _query_width(block), output_width
    if "attn_qkv.weight" in block:
        width = max(_rows(block["attn_qkv.weight"])[1] - output_width, 0) // 2
        return width, width
    k_width = _rows(block.get("attn_k.weight"))[1]
    return k_width, _rows(block["attn_v.weight"])[1] if "attn_v.weight" in block else k_width


def _query_width(block: dict[str, TensorInfo]) -> int:
    for name in ("attn_q.weight", "attn_q_b.weight"):
        if name in block:
            return _rows(block[name])[1]
    return _rows(block.get("attn_output.weight"))[0]


def _rows(tensor: TensorInfo | None) -> tuple[int, int]:
    """The length and the number of a matrix' rows."""
    if tensor is None:
        return 0, 0
    return tensor.shape[0], tensor.shape[1] if len(tensor.shape) > 1 else 1
