"""Copying a model's files step by step, with their SHA-256 and a look at what arrived."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hoshikage.plugins.ramdisk.marker import PartMark, SourcePart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STEP_BYTES: Final = 8 << 20
RESERVE_STEP_BYTES: Final = 256 << 20
READ_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK  # which matters for a pipe that has taken the file's place
WRITE_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
NICE: Final = 10
COPY_MODE: Final = 0o400  # an engine only reads; a stray write is refused


class CopyingCancelled(Exception):
    """Nobody wants the copy any more."""


class SourceChanged(Exception):
    """The source was written to or replaced while it was copied."""


class CopyDamaged(Exception):
    """What was read back is not what was written."""


@dataclass(slots=True)
class Progress:
    """How far a copying is; written by its thread, read by anybody.

    Attributes:
        cancelled: set it to end the copying at its next step.
    """

    done_bytes: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Go on, or not.

        Raises:
            CopyingCancelled: it was cancelled.
        """
        if self.cancelled.is_set():
            raise CopyingCancelled


def reserve(folder: Path, parts: Sequence[SourcePart], progress: Progress) -> None:
    """Make the files in their full size.

    The room is taken before a byte is copied: without it, a full tmpfs would show itself as a write error late, and
    to whoever writes through a mapping as SIGBUS.

    Raises:
        OSError: there is no room (`ENOSPC`).
        CopyingCancelled: it was cancelled.
    """
    for part in parts:
        descriptor = os.open(folder / part.file.name, WRITE_FLAGS, 0o600)
        try:
            for offset in range(0, part.size_bytes, RESERVE_STEP_BYTES):
                progress.check()
                os.posix_fallocate(descriptor, offset, min(RESERVE_STEP_BYTES, part.size_bytes - offset))
        finally:
            os.close(descriptor)


def copy_parts(parts: Sequence[SourcePart], folder: Path, progress: Progress, *, verify: bool) -> tuple[PartMark, ...]:
    """Copy into the reserved files.

    Raises:
        SourceChanged: a source is not what it was when `parts` was looked at.
        CopyDamaged: a copy does not read back as it was written.
        CopyingCancelled: it was cancelled.
        OSError: a source cannot be read.
    """
    progress.done_bytes = 0
    marks = [_copy(part, folder / part.file.name, progress, verify=verify) for part in parts]
    for part in parts:  # also the first of many parts, which may have been replaced while the last was copied
        if _version_at(part.file) != part:
            raise SourceChanged(part.file)
    return tuple(marks)


def sha256_of_copy(file: Path, progress: Progress) -> str:
    """The SHA-256 of a copy's content.

    Raises:
        CopyingCancelled: it was cancelled.
        OSError: it cannot be read.
    """
    with io.FileIO(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as stream:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(STEP_BYTES))
        while size := stream.readinto(buffer):
            progress.check()
            digest.update(buffer[:size])
    return digest.hexdigest()


def yield_to_others() -> None:
    """Copying and hashing take a whole processor, which whoever computes an answer needs more."""
    if sys.platform != "linux":  # where threads have no priorities of their own
        return
    thread = threading.get_native_id()
    # A server under a higher `nice` yields already; to go back is forbidden, and an error here would end all copying.
    with contextlib.suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, thread) < NICE:
            os.setpriority(os.PRIO_PROCESS, thread, NICE)


def _copy(part: SourcePart, target: Path, progress: Progress, *, verify: bool) -> PartMark:
    with (
        io.FileIO(os.open(part.file, READ_FLAGS)) as source,
        io.FileIO(os.open(target, os.O_RDWR | os.O_NOFOLLOW), "r+") as copy,
    ):
        if SourcePart.at(part.file, os.fstat(source.fileno())) != part:
            raise SourceChanged(part.file)
        sha256 = _copy_steps(part, source, copy, progress)
        if SourcePart.at(part.file, os.fstat(source.fileno())) != part:
            raise SourceChanged(part.file)
        os.fchmod(copy.fileno(), COPY_MODE)
    if verify and sha256_of_copy(target, progress) != sha256:
        raise CopyDamaged(target)
    return part.mark(sha256=sha256, copy_mtime_ns=target.lstat().st_mtime_ns)


def _copy_steps(part: SourcePart, source: io.FileIO, copy: io.FileIO, progress: Progress) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(STEP_BYTES))
    left = part.size_bytes
    while left:
        progress.check()
        step = buffer[: source.readinto(buffer[: min(STEP_BYTES, left)])]
        if not step:
            raise SourceChanged(part.file)  # it has become shorter
        digest.update(step)
        _write_all(copy, step)
        left -= len(step)
        progress.done_bytes += len(step)
    return digest.hexdigest()


def _write_all(copy: io.FileIO, step: memoryview) -> None:
    while step:
        step = step[copy.write(step) :]


def _version_at(file: Path) -> SourcePart | None:
    try:
        return SourcePart.of(file)
    except OSError:
        return None
