"""A generated GGUF file of any size: the architecture of Llama, weights at random, SmolLM2's vocabulary.

The weights are F32, so that there is as little to compute as possible for each byte that is read.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPARE_DISK_BYTES = 1 << 30
WIDE_FROM_BYTES = 1 << 30
CONTEXT = 8192
SEED = 4
WEIGHT_BYTES = 4
NORMAL = 1  # of `tokenizer.ggml.token_type`
SAY_EVERY = 1 << 30
COPIED = (
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_space_prefix",
    "tokenizer.chat_template",
)


class NoRoom(Exception):
    """The disk cannot hold the file; the text says what to do."""


class Stopped(Exception):
    """It was asked to end."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How wide and how deep the model is."""

    width: int
    inner: int
    heads: int
    kv_heads: int
    layers: int
    vocabulary: int

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor and its shape, rows first; those with one dimension are norms."""
        kv = self.width // self.heads * self.kv_heads
        yield "token_embd.weight", (self.vocabulary, self.width)
        for layer in range(self.layers):
            sizes = {
                "attn_norm": (self.width,),
                "attn_q": (self.width, self.width),
                "attn_k": (kv, self.width),
                "attn_v": (kv, self.width),
                "attn_output": (self.width, self.width),
                "ffn_norm": (self.width,),
                "ffn_gate": (self.inner, self.width),
                "ffn_up": (self.inner, self.width),
                "ffn_down": (self.width, self.inner),
            }
            yield from ((f"blk.{layer}.{name}.weight", size) for name, size in sizes.items())
        yield "output_norm.weight", (self.width,)

    @property
    def size_bytes(self) -> int:
        """All tensors together."""
        return sum(math.prod(shape) * WEIGHT_BYTES for _, shape in self.tensors())


def shape_of(size_bytes: int, vocabulary: int) -> Shape:
    """The shape whose file is nearest to a size, and never above it unless one layer is too much."""
    wide = size_bytes >= WIDE_FROM_BYTES
    width, inner, heads, kv_heads = (2048, 8192, 16, 4) if wide else (256, 1024, 4, 2)
    none, one = (Shape(width, inner, heads, kv_heads, n, vocabulary).size_bytes for n in (0, 1))
    layers = max(1, (size_bytes - none) // (one - none))
    return Shape(width, inner, heads, kv_heads, layers, vocabulary)


def make(file: Path, size_bytes: int, vocabulary_of: Path, stop: threading.Event, tell: Callable[[str], None]) -> None:
    """Generate the file, unless it is there.

    Args:
        file: where; it appears only when it is whole.
        size_bytes: about how large.
        vocabulary_of: a GGUF file whose tokens are taken over.
        stop: when set, it gives up.
        tell: gets a line of progress now and then.

    Raises:
        NoRoom: the disk is too full.
        Stopped: `stop` was set.
    """
    if file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(file.parent).free
    if free < size_bytes + SPARE_DISK_BYTES:
        raise NoRoom(
            f"{file.parent} has {free / 2**30:.1f} GiB free; the file of {size_bytes / 2**30:.1f} GiB needs 1 GiB more "
            "than its size: name another folder with --big-folder, or a smaller file with --big-gib"
        )
    part = file.with_suffix(".part")
    try:
        _write(part, size_bytes, vocabulary_of, stop, tell)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _write(part: Path, size_bytes: int, source: Path, stop: threading.Event, tell: Callable[[str], None]) -> None:
    import gguf

    copied = _fields(source)
    types = np.array(copied["tokenizer.ggml.token_type"][0])
    shape = shape_of(size_bytes, len(types))
    writer = gguf.GGUFWriter(part, "llama")
    _add_header(writer, shape, copied)
    for name, size in shape.tensors():
        writer.add_tensor_info(name, size, np.dtype(np.float32), math.prod(size) * WEIGHT_BYTES)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(SEED)
    plain = _plain(copied["tokenizer.ggml.tokens"][0], types)
    done = said = 0
    try:
        for name, size in shape.tensors():
            if stop.is_set():
                raise Stopped
            values = np.ones(size, np.float32) if len(size) == 1 else weights(random, size)
            if name == "token_embd.weight":
                values[~plain] = 0  # so that every answer begins with text
            writer.write_tensor_data(values)
            done += values.nbytes
            if done - said >= SAY_EVERY:
                said = done
                tell(f"  generating {part.stem}: {done / 2**30:.1f} of {shape.size_bytes / 2**30:.1f} GiB")
        for opened in writer.fout or ():
            opened.flush()
            os.fsync(opened.fileno())
    finally:
        writer.close()


def weights(random: np.random.Generator, size: tuple[int, ...]) -> Any:
    """Numbers between 2^-6 and 2^-5 with either sign: as large as real weights, every bit random but the exponent."""
    bits = random.integers(0, 1 << 32, size=size, dtype=np.uint32)
    bits &= 0x807FFFFF
    bits |= (127 - 6) << 23
    return bits.view(np.float32)


def _add_header(writer: Any, shape: Shape, copied: dict[str, tuple[Any, Any, Any]]) -> None:
    writer.add_name("generated for the benchmark")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    for key, (value, kind, part) in copied.items():
        writer.add_key_value(key, value, kind, part)


def _fields(source: Path) -> dict[str, tuple[Any, Any, Any]]:
    """The vocabulary of a file: value, type and type of the elements by key."""
    from benchmarks.gguf_reader import Reader

    reader = Reader(source)
    found = {key: field for key in COPIED if (field := reader.get_field(key)) is not None}
    return {
        key: (field.contents(), field.types[0], field.types[1] if len(field.types) > 1 else None)
        for key, field in found.items()
    }


def _plain(tokens: list[str], types: Any) -> Any:
    """Which tokens are whole letters."""
    return (types == NORMAL) & np.array([token.isascii() and token.isalpha() for token in tokens])
