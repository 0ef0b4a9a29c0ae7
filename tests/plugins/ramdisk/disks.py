"""Real RAM disks for tests, and models to put there."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage.core.catalog import record_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hoshikage import ModelRecord

MIB = 1 << 20
DISK_BYTES = 64 * MIB


@contextlib.contextmanager
def ram_disk(point: Path, *, size_bytes: int = DISK_BYTES, options: str = "mode=0700") -> Iterator[Path]:
    """A tmpfs of this size; where mounting is not allowed, a folder on the one that every Linux has."""
    point.mkdir(exist_ok=True)
    mounted = mount(point, f"size={size_bytes},{options}")
    path = point if mounted else Path(tempfile.mkdtemp(dir="/dev/shm", prefix="hoshikage-test-"))
    try:
        yield path
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(point)], check=True)
        else:
            shutil.rmtree(path)


def mount(point: Path, options: str) -> bool:
    """Mount a tmpfs; whether it went."""
    command = ["mount", "-t", "tmpfs", "-o", options, "test", str(point)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def remount(point: Path, option: str) -> bool:
    """Make a mounted tmpfs read-only (`ro`) or not (`rw`); whether it went."""
    command = ["mount", "-o", f"remount,{option}", str(point)]
    return is_mounted(point) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(point: Path) -> None:
    """Unmount, if something is mounted there."""
    if is_mounted(point):
        subprocess.run(["umount", str(point)], check=True)


def is_mounted(point: Path) -> bool:
    """Whether it is a mount point."""
    return point.is_mount() and not point.is_symlink()


def model(file: Path, *, size_bytes: int = MIB, fill: bytes = b"") -> ModelRecord:
    """A file of this size, with content that no other has, and its record."""
    with file.open("wb") as stream:
        stream.write(fill or os.fsencode(file.name))
        stream.truncate(size_bytes)  # what follows is a hole, so large files cost nothing
    return record_of(file.stem, file)


def again(record: ModelRecord) -> ModelRecord:
    """The record of the same file as it is now."""
    return record_of(record.name, record.file)


def names_below(folder: Path) -> list[str]:
    """Every file below, as its path from there."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def replace_file(file: Path, content: bytes) -> None:
    """Put another file in its place, as downloads do."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)


def damage(file: Path, *, at: int, keep_time: bool = False) -> None:
    """Change one byte."""
    status = file.stat()
    file.chmod(0o600)
    with file.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte[0] ^ 1]))
    if keep_time:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
