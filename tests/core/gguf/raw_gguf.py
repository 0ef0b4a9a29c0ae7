"""GGUF files byte by byte, for the files that no writer would write."""

from __future__ import annotations

import struct

UINT8, UINT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 2, 4, 5, 6, 7, 8, 9, 10
F32, Q4_0 = 0, 2
ALIGNMENT = 32


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return u64(len(raw)) + raw


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + u32(kind) + value


def array(key: str, kind: int, length: int, elements: bytes = b"") -> bytes:
    return pair(key, ARRAY, u32(kind) + u64(length) + elements)


def tensor(name: str | bytes = "w", shape: tuple[int, ...] = (8,), kind: int = F32, offset: int = 0) -> bytes:
    return text(name) + u32(len(shape)) + b"".join(map(u64, shape)) + u32(kind) + u64(offset)


def id_of(value: object) -> str:
    """The name of a test case: its expected message, without the bytes that provoke it."""
    return value if isinstance(value, str) else type(value).__name__


def gguf(
    *,
    pairs: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    data_bytes: int = 0,
    n_pairs: int | None = None,
    n_tensors: int | None = None,
    version: int = 3,
    magic: bytes = b"GGUF",
) -> bytes:
    """A file whose counts are right unless they are given."""
    n_tensors = len(tensors) if n_tensors is None else n_tensors
    n_pairs = len(pairs) if n_pairs is None else n_pairs
    header = magic + u32(version) + u64(n_tensors) + u64(n_pairs) + b"".join(pairs) + b"".join(tensors)
    return header + bytes(-len(header) % ALIGNMENT) + bytes(data_bytes)


def split_part(
    number: int, tensors: tuple[bytes, ...], *, count: int = 2, total: int = 2, pairs: tuple[bytes, ...] = ()
) -> bytes:
    """One part of a split model; numbers begin with 0."""
    said = (
        pair("split.no", UINT16, number.to_bytes(2, "little")),
        pair("split.count", UINT16, count.to_bytes(2, "little")),
        pair("split.tensors.count", INT32, u32(total)),
    )
    return gguf(pairs=(*pairs, *said), tensors=tensors, data_bytes=32)


ARCHITECTURE = pair("general.architecture", STRING, text("llama"))
SMALL = gguf(
    pairs=(
        ARCHITECTURE,
        pair("llama.context_length", UINT32, u32(64)),
        pair("general.alignment", UINT32, u32(ALIGNMENT)),
        pair("flag", BOOL, b"\x01"),
        array("tokens", STRING, 3, text("a") + text("") + text("影")),
        array("kinds", UINT8, 3, b"\x01\x02\x03"),
    ),
    tensors=(tensor("a", (8, 2)), tensor("b", (64,), Q4_0, offset=64)),
    data_bytes=64 + 36,
)
PART_1 = split_part(0, (tensor("a"),), pairs=(ARCHITECTURE,))
PART_2 = split_part(1, (tensor("b"),))
