"""A strict reader of one file's GGUF header, versions 2 and 3, little-endian."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from hoshikage.core.gguf.cursor import Cursor
from hoshikage.core.gguf.header import GgufHeader, ValueType
from hoshikage.core.gguf.opening import open_model_file
from hoshikage.core.gguf.parts import SPLIT_COUNT_KEY, SPLIT_NUMBER_KEY, SPLIT_TENSORS_KEY
from hoshikage.core.gguf.tensors import check_places, read_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hoshikage.core.gguf.header import TensorInfo

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
DEFAULT_ALIGNMENT: Final = 32
ALIGNMENT_KEY: Final = "general.alignment"
# llama.cpp aborts the process where these have another type.
KEY_TYPES: Final = {
    ALIGNMENT_KEY: ValueType.UINT32,
    SPLIT_NUMBER_KEY: ValueType.UINT16,
    SPLIT_COUNT_KEY: ValueType.UINT16,
    SPLIT_TENSORS_KEY: ValueType.INT32,
}

# Far above what real files have; llama.cpp looks for duplicates pair by pair, so more would take it minutes.
MAX_PAIRS: Final = 1 << 14
MAX_TENSORS: Final = 1 << 16
MAX_KEY_BYTES: Final = (1 << 16) - 1  # the format's own bound
MAX_TEXT_BYTES: Final = 16 << 20
MAX_ALIGNMENT: Final = 1 << 20
MIN_PAIR_BYTES: Final = 8 + 1 + 4 + 1
MIN_TENSOR_BYTES: Final = 8 + 1 + 4 + 8 + 4 + 8

SCALARS: Final = {
    ValueType.UINT8: struct.Struct("<B"),
    ValueType.INT8: struct.Struct("<b"),
    ValueType.UINT16: struct.Struct("<H"),
    ValueType.INT16: struct.Struct("<h"),
    ValueType.UINT32: struct.Struct("<I"),
    ValueType.INT32: struct.Struct("<i"),
    ValueType.FLOAT32: struct.Struct("<f"),
    ValueType.BOOL: struct.Struct("<B"),
    ValueType.UINT64: struct.Struct("<Q"),
    ValueType.INT64: struct.Struct("<q"),
    ValueType.FLOAT64: struct.Struct("<d"),
}


def read_file(file: Path) -> GgufHeader:
    """Read everything before the weights, and check that the weights are all there; further parts are not looked at.

    Raises:
        ModelFileError: the file is missing, unreadable, or not a whole and valid GGUF.
    """
    with open_model_file(file) as stream:
        return _read(Cursor(stream, file, file_size=os.fstat(stream.fileno()).st_size))


def _read(cursor: Cursor) -> GgufHeader:
    version = _read_version(cursor)
    n_tensors = cursor.count("the number of tensors", at_most=MAX_TENSORS, element_bytes=MIN_TENSOR_BYTES)
    n_pairs = cursor.count("the number of metadata pairs", at_most=MAX_PAIRS, element_bytes=MIN_PAIR_BYTES)
    metadata: dict[str, str | int | float | bool] = {}
    arrays: dict[str, tuple[ValueType, int]] = {}
    for _ in range(n_pairs):
        _read_pair(cursor, metadata, arrays)
    alignment = _alignment(metadata)
    tensors = _read_tensors(cursor, n_tensors, alignment)
    data_offset = cursor.position + -cursor.position % alignment
    check_places(cursor, tensors, data_offset=data_offset)
    return GgufHeader(
        file=cursor.file,
        version=version,
        metadata=metadata,
        arrays=arrays,
        tensors=tensors,
        data_offset=data_offset,
        file_size=cursor.file_size,
    )


def _read_version(cursor: Cursor) -> int:
    if cursor.file_size == 0:
        raise cursor.refusal("the file is empty", at=0, advice="download it again")
    magic = cursor.take(len(MAGIC), "the magic number")
    if magic != MAGIC:
        raise cursor.refusal(f"it begins with {magic!r} instead of {MAGIC!r}", at=0, advice=_not_gguf(magic))
    version = cursor.u32("the version")
    if version and version & 0xFFFF == 0:  # llama.cpp's own test for the other byte order
        advice = "download the little-endian file, or convert it with llama.cpp's gguf_convert_endian.py"
        raise cursor.refusal("it is a big-endian GGUF, which is not supported", at=4, advice=advice)
    if version not in VERSIONS:
        advice = "get the model as GGUF version 3"
        raise cursor.refusal(f"it has the GGUF version {version}, but only 2 and 3 are known", at=4, advice=advice)
    return version


def _not_gguf(magic: bytes) -> str:
    if magic == b"vers":
        return "it may be a Git LFS pointer: run `git lfs pull`, or download the model itself"
    if magic.lower() in {b"<!do", b"<htm"}:
        return "it looks like a web page: download the model itself, not its page"
    return "it is not a GGUF file: download or convert the model as GGUF"


def _read_pair(
    cursor: Cursor,
    metadata: dict[str, str | int | float | bool],
    arrays: dict[str, tuple[ValueType, int]],
) -> None:
    at = cursor.position
    key = _read_key(cursor)
    if key in metadata or key in arrays:
        raise cursor.refusal(f"the key {_short(key)} occurs twice", at=at)
    of_key = f"the value of {_short(key)}"
    type_at = cursor.position
    kind = _read_type(cursor, of_key)
    wanted = KEY_TYPES.get(key, kind)
    if kind is not wanted:
        raise cursor.refusal(f"{of_key} has the type {kind.name}, but it must be {wanted.name}", at=type_at)
    if kind is ValueType.ARRAY:
        arrays[key] = _skip_array(cursor, of_key)
    else:
        metadata[key] = _read_value(cursor, kind, of_key)
    if key == ALIGNMENT_KEY:
        _check_alignment(cursor, metadata)


def _read_key(cursor: Cursor) -> str:
    at = cursor.position
    # llama.cpp aborts the process on an empty key.
    raw = cursor.text_bytes("a metadata key", at_least=1, at_most=MAX_KEY_BYTES)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise cursor.refusal(f"the metadata key {_short(raw)} is no UTF-8", at=at) from error


def _read_type(cursor: Cursor, what: str) -> ValueType:
    at = cursor.position
    number = cursor.u32(f"the type of {what}")
    try:
        return ValueType(number)
    except ValueError as error:
        raise cursor.refusal(f"{what} has the unknown type {number}", at=at) from error


def _read_value(cursor: Cursor, kind: ValueType, what: str) -> str | int | float | bool:
    if kind is ValueType.STRING:
        # llama.cpp takes any bytes here, so a broken character is no reason to refuse a model.
        return cursor.text_bytes(what, at_least=0, at_most=MAX_TEXT_BYTES).decode(errors="replace")
    at = cursor.position
    layout = SCALARS[kind]
    value: int | float = layout.unpack(cursor.take(layout.size, what))[0]
    if kind is not ValueType.BOOL:
        return value
    if value not in {0, 1}:
        raise cursor.refusal(f"{what} is the boolean {value}, but it must be 0 or 1", at=at)
    return bool(value)


def _skip_array(cursor: Cursor, what: str) -> tuple[ValueType, int]:
    at = cursor.position
    kind = _read_type(cursor, f"an element of {what}")
    if kind is ValueType.ARRAY:
        raise cursor.refusal(f"{what} is an array of arrays, which llama.cpp does not read either", at=at)
    element_bytes = 8 if kind is ValueType.STRING else SCALARS[kind].size
    length = cursor.count(f"the length of {what}", at_most=2**63 - 1, element_bytes=element_bytes)
    if kind is ValueType.STRING:
        cursor.skip_strings(length, f"a string in {what}")
    else:
        cursor.skip(length * element_bytes, what)
    return kind, length


def _alignment(metadata: Mapping[str, str | int | float | bool]) -> int:
    return int(metadata.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT))


def _check_alignment(cursor: Cursor, metadata: Mapping[str, str | int | float | bool]) -> None:
    value = _alignment(metadata)
    if not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        problem = f"{ALIGNMENT_KEY} is {value}, but it must be a power of two of at most {MAX_ALIGNMENT}"
        raise cursor.refusal(problem, at=cursor.position - 4)


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    for _ in range(count):
        at = cursor.position
        tensor = read_tensor(cursor, alignment=alignment)
        if tensor.name in tensors:
            raise cursor.refusal(f"the tensor {tensor.name!r} occurs twice", at=at)
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _short(text: str | bytes) -> str:
    """A key for a message; a hostile one has up to 64 KiB."""
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}…"
