"""Writing a file so that a reader, or a power cut, sees the old content or the new, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

NEW_FILE_MODE = 0o644
# What SMB and some FUSE file systems say to syncing a folder; they have nothing better to offer.
_NOT_FOR_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_atomically(file: Path, content: bytes) -> None:
    """Replace `file` by a synced temporary one from the same folder.

    Raises:
        OSError: the folder cannot be written, or the disk is full; `file` is as it was.
    """
    file = file.resolve()  # a link to a file elsewhere stays a link
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = file.stat().st_mode & 0o777 if file.exists() else NEW_FILE_MODE
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make new, renamed and deleted names in a folder survive a power cut, as far as its file system can.

    Raises:
        OSError: the folder cannot be opened or synced.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def why_not(error: OSError, folder: Path) -> str:
    """Why a file in a folder cannot be read or written, and what to do about it."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno not in _FULL:
        return f"{reason}; look at its rights and its disk"
    try:
        free = f"{shutil.disk_usage(folder).free} bytes are free"
    except OSError:
        free = "how much is free cannot be told"
    return f"{reason} ({free}); make room there"
