"""The nouns of a GGUF header."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ValueType(enum.IntEnum):
    """How a metadata value is written; the numbers are those of the format."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor's weights are.

    Attributes:
        shape: 1 to 4 dimensions, the row length first, as the file has them.
        type: ggml's name of the weights' type, e.g. `Q4_K`.
        offset: from the start of the data of its file, in bytes.
        part: which file of a split model it is in, the first being 0.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything before the weights; of a split model, the first part's, with the tensors and sizes of all.

    Attributes:
        file: the file it was read from, for messages.
        metadata: scalars and strings by key.
        arrays: the type and the length of each array by key; the elements are not kept.
        data_offset: where the weights begin, in bytes from the start of the file.
        file_size: in bytes, of all parts.
    """

    file: Path
    version: int
    metadata: Mapping[str, str | int | float | bool]
    arrays: Mapping[str, tuple[ValueType, int]]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_size: int
