"""One saved text: its tokens and what the model remembers of it, in a file that notices its own damage."""

from __future__ import annotations

import array
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

Bytes = bytes | bytearray | memoryview
MAGIC: Final = b"HSKSTATE"
VERSION: Final = 1
PREFIX: Final = struct.Struct("<8sII")  # magic, version, length of the head
MAX_HEAD_BYTES: Final = 64 << 10
MAX_TOKENS: Final = 1 << 24
SUFFIX: Final = ".state"
TEMPORARY: Final = ".tmp"
TOKEN_BYTES: Final = 4


class BadStateFile(Exception):
    """The file is damaged, of another kind, or cannot be read; the text says which."""


class Head(msgspec.Struct, frozen=True):
    """What a file says of itself, before tokens and memory.

    Attributes:
        key: model, build and number formats: a memory means nothing to another one.
        scope: whose requests may go on from it, and with which adapters.
        n_tokens: how many tokens follow.
        n_bytes: how many bytes of memory follow them.
        tokens_crc: CRC-32 of the tokens.
        memory_crc: CRC-32 of the memory.
    """

    key: str
    scope: str
    n_tokens: int
    n_bytes: int
    tokens_crc: int
    memory_crc: int


def write_state(file: Path, *, key: str, scope: str, tokens: Seq[int], memory: Bytes) -> int:
    """Write a file atomically. A torn one after a power cut is noticed by its checksums, so nothing waits for the disk.

    Returns:
        Its size in bytes.

    Raises:
        OSError: the folder cannot be written, or there is no room; nothing is left behind.
    """
    text = array.array("i", tokens).tobytes()
    view = memoryview(memory).cast("B")
    head = msgspec.msgpack.encode(Head(key, scope, len(tokens), view.nbytes, zlib.crc32(text), zlib.crc32(view)))
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{os.getpid()}.", suffix=SUFFIX + TEMPORARY)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as stream:
            for part in (PREFIX.pack(MAGIC, VERSION, len(head)), head, text, view):
                _write_all(stream.fileno(), part)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return PREFIX.size + len(head) + len(text) + view.nbytes


def read_tokens(file: Path) -> tuple[Head, list[int]]:
    """Read what a file is about, without the memory.

    Raises:
        BadStateFile: see there.
    """
    try:
        with file.open("rb") as stream:
            return _read_tokens(stream)
    except OSError as error:
        raise BadStateFile(error.strerror or str(error)) from error


def read_memory(file: Path) -> bytearray:
    """Read the memory, all of it checked.

    Raises:
        BadStateFile: see there.
    """
    try:
        with file.open("rb", buffering=0) as stream:
            head, _ = _read_tokens(stream)
            memory = bytearray(head.n_bytes)
            view, done = memoryview(memory), 0
            while done < head.n_bytes and (count := stream.readinto(view[done:])):
                done += count
    except OSError as error:
        raise BadStateFile(error.strerror or str(error)) from error
    if done != head.n_bytes or zlib.crc32(memory) != head.memory_crc:
        raise BadStateFile("its memory is damaged")
    return memory


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for file in folder.glob(f".*{TEMPORARY}"):
        pid = file.name.split(".")[1]
        if not pid.isdecimal() or not Path(f"/proc/{pid}").exists():
            file.unlink(missing_ok=True)


def _read_tokens(stream: BinaryIO) -> tuple[Head, list[int]]:
    size = os.fstat(stream.fileno()).st_size
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        raise BadStateFile("it is cut short")
    magic, version, length = PREFIX.unpack(prefix)
    if magic != MAGIC or version != VERSION or length > MAX_HEAD_BYTES:
        raise BadStateFile("it is no saved state of this version")
    try:
        head = msgspec.msgpack.decode(stream.read(length), type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadStateFile("its head is damaged") from error
    # The length of the file bounds what is read, whatever the head says.
    expected = PREFIX.size + length + head.n_tokens * TOKEN_BYTES + head.n_bytes
    if not 0 < head.n_tokens <= MAX_TOKENS or head.n_bytes < 0 or size != expected:
        raise BadStateFile("its length is not what its head says")
    raw = stream.read(head.n_tokens * TOKEN_BYTES)
    if zlib.crc32(raw) != head.tokens_crc:
        raise BadStateFile("its tokens are damaged")
    tokens = array.array("i")
    tokens.frombytes(raw)
    return head, tokens.tolist()


def _write_all(descriptor: int, data: Bytes) -> None:
    view = memoryview(data).cast("B")
    while view.nbytes:
        view = view[os.write(descriptor, view) :]
