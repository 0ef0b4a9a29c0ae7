"""Headers of models that exist nowhere, for what only looks at sizes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.core.gguf import GgufHeader, TensorInfo, ValueType
from hoshikage.core.gguf.quantization import TENSOR_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = {kind.name: kind for kind in TENSOR_TYPES.values()}
TOKENS = "tokenizer.ggml.tokens"

Value = str | int | float | bool


def header_of(
    tensors: Mapping[str, tuple[int, ...]],
    *,
    architecture: str = "llama",
    kind: str = "F16",
    metadata: Mapping[str, Value] | None = None,
    arrays: Mapping[str, int] | None = None,
) -> GgufHeader:
    """A header with these tensors one after the other; norms, which have one dimension, are F32."""
    placed: list[TensorInfo] = []
    offset = 0
    for name, shape in tensors.items():
        of = TYPES["F32" if len(shape) == 1 else kind]
        size = math.prod(shape) // of.block_size * of.block_bytes
        placed.append(TensorInfo(name, shape, of.name, offset, size))
        offset += size
    values = {f"{architecture}.{key}": value for key, value in (metadata or {}).items()}
    return GgufHeader(
        file=Path("/models/m.gguf"),
        version=3,
        metadata={"general.architecture": architecture, **values},
        arrays={key: (ValueType.STRING, length) for key, length in (arrays or {}).items()},
        tensors=tuple(placed),
        data_offset=0,
        file_size=offset,
    )


def llama_tensors(
    *,
    n_layers: int = 2,
    n_embd: int = 512,
    n_ff: int = 1024,
    n_query: int = 512,
    n_kv: int = 128,
    n_vocab: int = 1000,
    tied: bool = False,
) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama."""
    tensors: dict[str, tuple[int, ...]] = {"token_embd.weight": (n_embd, n_vocab), "output_norm.weight": (n_embd,)}
    if not tied:
        tensors["output.weight"] = (n_embd, n_vocab)
    for n in range(n_layers):
        tensors |= {
            f"blk.{n}.attn_norm.weight": (n_embd,),
            f"blk.{n}.attn_q.weight": (n_embd, n_query),
            f"blk.{n}.attn_k.weight": (n_embd, n_kv),
            f"blk.{n}.attn_v.weight": (n_embd, n_kv),
            f"blk.{n}.attn_output.weight": (n_query, n_embd),
            f"blk.{n}.ffn_gate.weight": (n_embd, n_ff),
            f"blk.{n}.ffn_up.weight": (n_embd, n_ff),
            f"blk.{n}.ffn_down.weight": (n_ff, n_embd),
        }
    return tensors
