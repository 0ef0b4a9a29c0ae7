"""One server per data directory: a lock that the system takes back however its holder ends."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import structlog
from filelock import FileLock, Timeout

from hoshikage.core.errors import DataDirInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger(__name__)

LOCK_FILE: Final = "server.lock"
PID_FILE: Final = "server.pid"  # beside the lock, because older filelocks empty the lock's file when they try it


@contextlib.contextmanager
def only_server(data_dir: Path) -> Iterator[None]:
    """Hold the data directory; the command line may still use it.

    A directory that cannot be locked, as it may not be written, is no reason not to serve: the log says it.

    Raises:
        DataDirInUse: another server holds it.
    """
    lock = FileLock(data_dir / LOCK_FILE)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
        (data_dir / PID_FILE).write_text(f"{os.getpid()}\n")
    except Timeout as error:
        raise DataDirInUse(
            f"another server ({_holder(data_dir)}) uses the data directory {data_dir}; "
            "stop it, or give this one another with HOSHIKAGE_DATA_DIR"
        ) from error
    except (OSError, NotImplementedError) as error:  # the latter is a file system without locks
        log.warning("data_dir_not_locked", data_dir=str(data_dir), reason=str(error))
    try:
        yield
    finally:
        lock.release()


def _holder(data_dir: Path) -> str:
    try:
        return f"process {int((data_dir / PID_FILE).read_bytes())}"
    except (OSError, ValueError):  # it has only just begun
        return "its process is not known yet"
