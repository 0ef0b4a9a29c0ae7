"""Real models with their weights as 16-bit floating-point numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

from hoshikage.core.gguf.reader import read_file
from tests.core.gguf import raw_gguf as raw

if TYPE_CHECKING:
    from pathlib import Path

    from hoshikage.core.gguf.header import TensorInfo


def write_f16(source: Path, file: Path) -> Path:
    """Write a quantised model anew, with every matrix in 16 bits; that takes seconds.

    The metadata are copied byte by byte: for a vocabulary of 262,144 tokens the reference library takes half a minute.
    """
    header, content = read_file(source), np.memmap(source, mode="r")
    before = content[: header.data_offset].tobytes()
    infos, n_data = b"", 0
    for tensor in header.tensors:
        infos += raw.tensor(tensor.name, tensor.shape, _kind(tensor), n_data)
        n_data += _padded(int(np.prod(tensor.shape)) * _type(tensor)().itemsize)
    head = before[: before.rindex(raw.text(header.tensors[0].name))] + infos
    with file.open("wb") as writer:
        writer.write(head.ljust(_padded(len(head)), b"\0"))
        for tensor in header.tensors:
            start = header.data_offset + tensor.offset
            rows = content[start : start + tensor.size_bytes].reshape(*tensor.shape[:0:-1], -1)
            numbers = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[tensor.type]).astype(_type(tensor))
            writer.write(numbers.tobytes().ljust(_padded(numbers.nbytes), b"\0"))
    return file


def _type(tensor: TensorInfo) -> type[np.floating]:
    return np.float16 if len(tensor.shape) > 1 else np.float32


def _kind(tensor: TensorInfo) -> int:
    return gguf.GGMLQuantizationType.F16 if len(tensor.shape) > 1 else gguf.GGMLQuantizationType.F32


def _padded(n_bytes: int) -> int:
    return n_bytes + -n_bytes % raw.ALIGNMENT
