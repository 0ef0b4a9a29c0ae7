"""The copies in the place: which there are, how they are named, and how one goes."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from hoshikage.core.errors import StagingRefused
from hoshikage.core.gguf.parts import parts_of
from hoshikage.plugins.ramdisk.guards import lock_for_removal
from hoshikage.plugins.ramdisk.marker import (
    MARKER,
    NEW_MARKER,
    CopyState,
    Marker,
    SourcePart,
    is_copy_of,
    key_of,
    read_marker,
    state_of,
)
from hoshikage.plugins.ramdisk.place import bytes_below

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hoshikage.plugins.ramdisk.place import Place

# A folder that is being filled, and one that is being emptied. A killed process leaves them.
FILLING, GOING = ".part", ".gone"
PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """A model's files as they are now.

    Attributes:
        file: the record's own.
    """

    file: Path
    parts: tuple[SourcePart, ...]

    @classmethod
    def of(cls, file: Path) -> Source:
        """Look at the files.

        Raises:
            StagingRefused: one is gone, or is no file.
        """
        try:
            found = [(part, part.stat()) for part in parts_of(file)]
        except OSError as error:
            raise StagingRefused(f"{error.filename} cannot be read: {error.strerror}") from error
        for part, status in found:
            if not stat.S_ISREG(status.st_mode):  # to open a pipe could wait for ever
                raise StagingRefused(f"{part} is no file, so there is nothing to copy")
        return cls(file, tuple(SourcePart.at(part, status) for part, status in found))

    @property
    def key(self) -> str:
        """The name of its copy's folder."""
        return key_of(self.file, self.parts)

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(part.size_bytes for part in self.parts)

    def room_bytes(self) -> int:
        """What a copy takes of the RAM disk: whole pages, and some for folder and markers."""
        pages = sum(-(-part.size_bytes // PAGE_BYTES) + 1 for part in self.parts)
        return (pages + 4) * PAGE_BYTES


@dataclass(frozen=True, slots=True)
class ShelfCopy:
    """A folder with our marker, whole or not.

    Attributes:
        used_ns: when it was last used, by the wall clock; it is the marker's time.
    """

    key: str
    folder: Path
    marker: Marker
    used_ns: int

    @property
    def source(self) -> Path:
        """The file that was copied."""
        return Path(self.marker.source)

    @property
    def file(self) -> Path:
        """The copy of it."""
        return self.folder / self.source.name

    def state(self) -> CopyState:
        """Whether it is as it was left."""
        return state_of(self.marker, self.folder)

    def is_of(self, source: Source) -> bool:
        """Whether it is a copy of these files in these versions."""
        return is_copy_of(self.marker, source.file, source.parts)

    def is_current(self) -> bool:
        """Whether its source is still what was copied, as far as can be seen: a disk may be out of reach."""
        try:
            return self.is_of(Source.of(self.source))
        except StagingRefused as error:
            cause = error.__cause__
            return cause is not None and not isinstance(cause, FileNotFoundError | NotADirectoryError)

    def mark_used(self, now_ns: int) -> None:
        """Note the time, so that it lasts beyond this process and others see it."""
        with contextlib.suppress(OSError):
            os.utime(self.folder / MARKER, ns=(now_ns, now_ns), follow_symlinks=False)


class Shelf:
    """The copies of one place. All methods do file work, and are safe in any thread and beside other processes."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._known: dict[str, tuple[int, Marker]] = {}

    def copies(self) -> list[ShelfCopy]:
        """Every copy, whole or not; what is not ours is passed over."""
        return [copy for name in self._names() if not name.startswith(".") and (copy := self.copy(name)) is not None]

    def copy(self, key: str) -> ShelfCopy | None:
        """One copy."""
        folder = self.folder(key)
        try:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return None
            status = (folder / MARKER).lstat()
        except OSError:
            return None
        inode, marker = self._known.get(key, (0, None))
        if marker is None or inode != status.st_ino:  # a marker is never written to, only made
            marker = read_marker(folder)
            if marker is None:
                return None
            self._known[key] = (status.st_ino, marker)
        return ShelfCopy(key, folder, marker, status.st_mtime_ns)

    def copies_of(self, file: Path) -> list[ShelfCopy]:
        """The copies of one source, of all its versions."""
        return [copy for copy in self.copies() if copy.source == file]

    def folder(self, key: str) -> Path:
        """Where a whole copy is."""
        return self.place.models / key

    def filling(self, key: str) -> Path:
        """Where a copy is while it is made."""
        return self.place.models / f".{key}{FILLING}"

    def used_bytes(self) -> int:
        """What copies, halves of them and the engines' state take."""
        copies = sum(copy.marker.size_bytes for copy in self.copies())
        parts = (self.place.models / name for name in self._names() if name.endswith((FILLING, GOING)))
        return copies + sum(bytes_below(part) for part in parts) + bytes_below(self.place.state)

    def model_lock(self, key: str) -> FileLock:
        """The lock of whoever makes this copy."""
        return FileLock(self.place.locks / f"{key}.lock")

    def place_lock(self) -> FileLock:
        """The lock of whoever decides who goes and takes the room."""
        return FileLock(self.place.locks / "place.lock")

    def remove(self, copy: ShelfCopy) -> bool:
        """Let a copy go. False, and untouched, while anybody keeps it."""
        descriptor = lock_for_removal(copy.folder)
        if descriptor is None:
            return self.copy(copy.key) is None
        going = self.place.models / f".{copy.key}.{secrets.token_hex(4)}{GOING}"
        try:
            if {entry.name for entry in copy.folder.iterdir()} <= {MARKER, *(part.name for part in copy.marker.parts)}:
                copy.folder.rename(going)  # from now on nobody finds it, however long the deleting takes
            else:
                going = copy.folder  # somebody's files are in it, and stay where they are
        except OSError:
            return False
        finally:
            os.close(descriptor)
        empty(going, copy.marker)
        return True

    def discard_filling(self, key: str) -> None:
        """Take away what there is of a half copy; only under its lock."""
        folder = self.filling(key)
        if folder.is_dir() and not folder.is_symlink():
            empty(folder, read_marker(folder))

    def clean_up(self) -> list[str]:
        """Take away what killed processes left, and copies that are damaged or whose source is not there any more.

        Returns:
            The names of the folders that went.
        """
        return self.clean_leftovers() + [copy.key for copy in useless(self.copies()) if self.remove(copy)]

    def clean_leftovers(self) -> list[str]:
        """Take away what killed processes left. Returns the names of the folders that went."""
        return [name for name in self._names() if self._clean_leftover(name)]

    # --- inside ---

    def _names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.place.models.iterdir())
        except OSError:
            return []

    def _clean_leftover(self, name: str) -> bool:
        folder = self.place.models / name
        if not name.startswith(".") or folder.is_symlink() or not folder.is_dir():
            return False
        if name.endswith(GOING):
            empty(folder, read_marker(folder))
            return not folder.exists()
        if not name.endswith(FILLING):
            return False
        key = name.removeprefix(".").removesuffix(FILLING)
        try:
            with self.model_lock(key).acquire(timeout=0):
                self.discard_filling(key)
        except Timeout:  # another process makes it just now
            return False
        return not folder.exists()  # a stranger's files in it stay


def useless(copies: Iterable[ShelfCopy]) -> list[ShelfCopy]:
    """Those that are damaged, or not of their source as it is now."""
    return [copy for copy in copies if not copy.is_current() or copy.state() == "damaged"]


def empty(folder: Path, marker: Marker | None) -> None:
    """Delete the files that the marker names, then the marker, then the folder unless a stranger's file is in it."""
    names = [part.name for part in marker.parts] if marker is not None else []
    for name in (*names, NEW_MARKER, MARKER):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
