"""The file that makes a folder on the RAM disk ours: which source is copied there, and in which version."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKER = "hoshikage.json"
NEW_MARKER = f"{MARKER}.new"
FORMAT_VERSION = 1
MAX_MARKER_BYTES = 4 << 20  # of the most parts with the longest names
RESERVED_PER_PART = 128  # digest and time, which are not known from the beginning

CopyState = Literal["whole", "touched", "damaged"]


class PartMark(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the model: its source's version, its content, and the copy as it was left.

    Attributes:
        sha256: empty while it is being copied.
        copy_mtime_ns: 0 while it is being copied.
    """

    name: str
    size_bytes: int
    source_mtime_ns: int
    source_inode: int
    sha256: str = ""
    copy_mtime_ns: int = 0


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one model.

    Attributes:
        source: the record's own file, absolute.
    """

    source: str
    parts: tuple[PartMark, ...]
    version: int = FORMAT_VERSION

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A file to copy, in the version that was looked at."""

    file: Path
    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, file: Path) -> SourcePart:
        """The file as it is now.

        Raises:
            OSError: it is gone.
        """
        return cls.at(file, file.stat())

    @classmethod
    def at(cls, file: Path, status: os.stat_result) -> SourcePart:
        """The file as `status` says."""
        return cls(file, status.st_size, status.st_mtime_ns, status.st_ino)

    def mark(self, *, sha256: str = "", copy_mtime_ns: int = 0) -> PartMark:
        """What the marker says of it."""
        return PartMark(
            name=self.file.name,
            size_bytes=self.size_bytes,
            source_mtime_ns=self.mtime_ns,
            source_inode=self.inode,
            sha256=sha256,
            copy_mtime_ns=copy_mtime_ns,
        )


def key_of(source: Path, parts: Sequence[SourcePart]) -> str:
    """The folder's name: readable, and another one for each version of the source."""
    digest = hashlib.sha256(os.fsencode(source))
    for part in parts:
        digest.update(f"|{part.file.name!a}|{part.size_bytes}|{part.mtime_ns}|{part.inode}".encode())
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", source.stem)[:48].strip("-")
    return f"{readable}-{digest.hexdigest()[:24]}"


def is_copy_of(marker: Marker, source: Path, parts: Sequence[SourcePart]) -> bool:
    """Whether the marker is that of these files in these versions."""
    wanted = [(p.file.name, p.size_bytes, p.mtime_ns, p.inode) for p in parts]
    return marker.source == str(source) and wanted == [
        (m.name, m.size_bytes, m.source_mtime_ns, m.source_inode) for m in marker.parts
    ]


def state_of(marker: Marker, folder: Path) -> CopyState:
    """Whether the copies are as they were left, by sizes and times; `touched` is a new time and nothing else."""
    state: CopyState = "whole"
    for part in marker.parts:
        try:
            status = (folder / part.name).lstat()
        except OSError:
            return "damaged"
        if not part.sha256 or not stat.S_ISREG(status.st_mode) or status.st_size != part.size_bytes:
            return "damaged"
        if status.st_mtime_ns != part.copy_mtime_ns:
            state = "touched"
    return state


def read_marker(folder: Path) -> Marker | None:
    """The marker of a folder; `None` where there is none that we could have written."""
    try:
        descriptor = os.open(folder / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = os.read(descriptor, MAX_MARKER_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    try:
        # The standard library's JSON, because paths may hold bytes that are no UTF-8.
        marker = msgspec.convert(json.loads(content), Marker)
    except (ValueError, RecursionError):
        return None
    good = marker.version == FORMAT_VERSION and marker.parts and all(_is_plain(p.name) for p in marker.parts)
    return marker if good else None


def write_marker(folder: Path, marker: Marker, *, reserve: bool = False) -> None:
    """Write the marker of a folder that is still under its temporary name.

    Args:
        folder: the folder.
        marker: what is to stand there.
        reserve: take the room for another, longer one, which is then written even where the RAM disk is full.

    Raises:
        OSError: there is no room.
    """
    content = json.dumps(msgspec.to_builtins(marker), indent=2).encode() + b"\n"
    _write(folder, content)
    (folder / NEW_MARKER).replace(folder / MARKER)
    if reserve:
        _write(folder, content + bytes(len(marker.parts) * RESERVED_PER_PART))


def _write(folder: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(folder / NEW_MARKER, flags, 0o600), "wb") as stream:
        stream.write(content)  # over the reserved pages, if there are any
        stream.truncate()


def _is_plain(name: str) -> bool:
    """A marker that names a file elsewhere is none of ours: what it names gets deleted."""
    return name == Path(name).name and name not in {"", ".", "..", MARKER, NEW_MARKER}
