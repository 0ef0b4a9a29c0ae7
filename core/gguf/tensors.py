"""The tensor list of a GGUF header."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from hoshikage.core.gguf.header import TensorInfo
from hoshikage.core.gguf.quantization import TENSOR_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.gguf.cursor import Cursor
    from hoshikage.core.gguf.quantization import TensorType

MAX_NAME_BYTES: Final = 63  # GGML_MAX_NAME, less the closing NUL
MAX_DIMENSIONS: Final = 4
MAX_WEIGHTS: Final = 2**63 - 1


def read_tensor(cursor: Cursor, *, alignment: int) -> TensorInfo:
    """Read one entry; whether its weights are in the file is for `check_places`.

    Raises:
        ModelFileError: a field of it is not allowed.
    """
    name = _read_name(cursor)
    shape = _read_shape(cursor, name)
    kind = _read_type(cursor, name, row_length=shape[0])
    at = cursor.position
    offset = cursor.u64(f"the offset of tensor {name!r}")
    if offset % alignment:
        problem = f"tensor {name!r} has the offset {offset}, which is no multiple of the alignment {alignment}"
        raise cursor.refusal(problem, at=at)
    size_bytes = math.prod(shape) // kind.block_size * kind.block_bytes
    return TensorInfo(name=name, shape=shape, type=kind.name, offset=offset, size_bytes=size_bytes)


def check_places(cursor: Cursor, tensors: Sequence[TensorInfo], *, data_offset: int) -> None:
    """Refuse tensors whose weights lie outside the file or inside each other.

    Raises:
        ModelFileError: there is such a tensor.
    """
    end = 0
    before = ""
    for tensor in sorted(tensors, key=lambda t: t.offset):
        starts_at = data_offset + tensor.offset
        if tensor.offset < end:
            problem = f"tensor {tensor.name!r} with the offset {tensor.offset} overlaps tensor {before!r}"
            raise cursor.refusal(problem, at=starts_at)
        end = tensor.offset + tensor.size_bytes
        before = tensor.name
        if data_offset + end > cursor.file_size:
            problem = (
                f"tensor {tensor.name!r} has {tensor.size_bytes} bytes and ends at byte {data_offset + end}, "
                f"but the file has only {cursor.file_size} bytes"
            )
            raise cursor.refusal(problem, at=starts_at)


def _read_name(cursor: Cursor) -> str:
    at = cursor.position
    raw = cursor.text_bytes("a tensor's name", at_least=1, at_most=MAX_NAME_BYTES)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise cursor.refusal(f"the tensor name {raw!r} is no UTF-8", at=at) from error


def _read_shape(cursor: Cursor, name: str) -> tuple[int, ...]:
    at = cursor.position
    n_dims = cursor.u32(f"the number of dimensions of tensor {name!r}")
    if not 1 <= n_dims <= MAX_DIMENSIONS:
        raise cursor.refusal(f"tensor {name!r} has {n_dims} dimensions, but 1 to {MAX_DIMENSIONS} are allowed", at=at)
    shape = tuple(cursor.u64(f"a dimension of tensor {name!r}") for _ in range(n_dims))
    # llama.cpp divides by the dimensions, so a zero would end the process.
    if not 1 <= math.prod(shape) <= MAX_WEIGHTS:
        problem = f"tensor {name!r} has the shape {shape}, which is empty or has more than {MAX_WEIGHTS} weights"
        raise cursor.refusal(problem, at=at)
    return shape


def _read_type(cursor: Cursor, name: str, *, row_length: int) -> TensorType:
    at = cursor.position
    number = cursor.u32(f"the type of tensor {name!r}")
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        advice = "if the file is not damaged, get the model in another quantization"
        raise cursor.refusal(f"tensor {name!r} has the unknown weight type {number}", at=at, advice=advice)
    if row_length % kind.block_size:
        problem = (
            f"tensor {name!r} has rows of {row_length} weights, but {kind.name} needs a multiple of {kind.block_size}"
        )
        raise cursor.refusal(problem, at=at)
    return kind
