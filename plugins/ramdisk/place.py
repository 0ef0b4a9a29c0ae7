"""The folder on the RAM disk: found or mounted, ours alone, and laid out."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import StagingRefused
from hoshikage.plugins.ramdisk.mounts import mount_of, mount_tmpfs, unmount

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_TMPFS = Path("/dev/shm")  # noqa: S108  every Linux has this tmpfs; we use a folder of our own on it
MODELS, STATE, LOCKS, SERVERS = "models", "state", "locks", ".servers"
# Says, within it, that a folder or a whole tmpfs was made by us, so that we may take it away.
OURS: Final = ".made-by-hoshikage"
OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
HOW_TO_MOUNT: Final = "run as root or with CAP_SYS_ADMIN, or set ramdisk.path to a tmpfs"


@dataclass(frozen=True, slots=True)
class Place:
    """A usable place."""

    path: Path

    @property
    def models(self) -> Path:
        """Holds a folder for each copy."""
        return self.path / MODELS

    @property
    def state(self) -> Path:
        """Belongs to the engines."""
        return self.path / STATE

    @property
    def locks(self) -> Path:
        """Holds the lock files."""
        return self.path / LOCKS

    @property
    def servers(self) -> Path:
        """The file that every server here has a shared lock on."""
        return self.path / SERVERS


@dataclass(frozen=True, slots=True)
class Site:
    """Where a place is or will be.

    Attributes:
        path: the place's folder; it need not exist.
        mounts: a tmpfs has to be mounted on it first.
    """

    path: Path
    mounts: bool


def own_name() -> str:
    """The name of our folder where others have theirs."""
    return f"hoshikage-{os.getuid()}"


def find_site(wanted: Path | None, *, mountinfo: str | None = None) -> Site:
    """See where a place would be, without making anything.

    Args:
        wanted: absolute; `None` is a folder of ours in `/dev/shm`.
        mountinfo: the text of `/proc/self/mountinfo`; read when not given.

    Raises:
        StagingRefused: there can be none, with the reason.
    """
    path = SHARED_TMPFS / own_name() if wanted is None else wanted
    with _refusing(path):
        if _on_tmpfs(path, mountinfo):
            site = Site(_within_shared(path), mounts=False)
            _check_site(Place(site.path))
            return site
        if wanted is None:
            raise StagingRefused(f"{SHARED_TMPFS} is no tmpfs here; set ramdisk.path to one")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):  # a mount would hide what is there
            raise StagingRefused(f"{path} is no tmpfs, and no empty folder to mount one on; set ramdisk.path to either")
        return Site(path, mounts=True)


def open_place(wanted: Path | None, *, mount_bytes: int) -> Place:
    """Get the place ready: on the tmpfs that is there, or on one that is mounted for it.

    Args:
        wanted: absolute; `None` is a folder of ours in `/dev/shm`.
        mount_bytes: the size of a tmpfs that has to be mounted.

    Raises:
        StagingRefused: the place cannot be used, with the reason.
    """
    site = find_site(wanted)
    place = Place(site.path)
    with _refusing(site.path):
        if site.mounts:
            _mount(site.path, mount_bytes)
        for folder in (place.path, place.models, place.locks):
            _make_private(folder)
        _make_state(place.state)
    return place


def close_place(place: Place) -> None:
    """Take away what `open_place` made, as far as it is empty; a tmpfs of ours is unmounted.

    Only for the last server on the place.
    """
    with contextlib.suppress(OSError):
        (place.state / OURS).unlink()
    for file in place.locks.glob("*.lock"):
        with contextlib.suppress(OSError):
            file.unlink()
    for folder in (place.models, place.locks, place.state):
        with contextlib.suppress(OSError):
            folder.rmdir()
    if (place.path / OURS).is_file() and place.path.is_mount():
        unmount(place.path)
        return
    with contextlib.suppress(OSError):
        place.servers.unlink()
    if place.path.name == own_name():
        with contextlib.suppress(OSError):
            place.path.rmdir()


def clear_state(place: Place) -> None:
    """Delete what the engines left in the state folder."""
    if not (place.state / OURS).is_file():
        return
    for entry in place.state.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != OURS:
            with contextlib.suppress(OSError):
                entry.unlink()


def bytes_below(folder: Path) -> int:
    """What the files below a folder take; links are not followed."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_below(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


# --- inside ---


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn an error of the system into a refusal that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StagingRefused(f"{error.filename or path} cannot be used as RAM disk: {reason}") from error


def _on_tmpfs(path: Path, mountinfo: str | None) -> bool:
    if path.is_symlink():
        raise StagingRefused(f"{path} is a symbolic link; set ramdisk.path to the folder itself")
    mount = mount_of(path.resolve(), mountinfo)
    if mount.kind != "tmpfs":
        return False
    if mount.read_only:
        raise StagingRefused(f"{path} is mounted read-only; mount {mount.point} again with rw")
    return True


def _mount(path: Path, size_bytes: int) -> None:
    """Mount a tmpfs of our own on a folder that is empty or not there."""
    made = not path.exists()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mount_tmpfs(path, size_bytes=size_bytes)
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                path.rmdir()
        reason = f"one cannot be mounted: {error.strerror}; {HOW_TO_MOUNT}"
        raise StagingRefused(f"{path} is no tmpfs, and {reason}") from error
    (path / OURS).touch(mode=0o600)


def _within_shared(path: Path) -> Path:
    """Where others may write too, as in `/dev/shm` itself, we take a folder of our own."""
    if not path.exists():
        return path
    status = path.stat()
    shared = status.st_mode & OTHERS_MAY_WRITE
    if shared and not status.st_mode & stat.S_ISVTX:
        raise StagingRefused(f"{path} can be written by others, who could replace files: `chmod go-w` or `chmod +t` it")
    return path / own_name() if shared else path


def _check_site(place: Place) -> None:
    """See that what stands there already is ours and stays so, and that what does not can be made.

    Raises:
        StagingRefused: it is somebody else's, or cannot be written.
    """
    for folder in (place.path, place.models, place.locks, place.state):
        _check_ours(folder)
    _check_state(place.state)
    for above in place.path.resolve().parents:
        _check_above(above)
    existing = next(folder for folder in (place.path, *place.path.parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise StagingRefused(f"{existing} cannot be written by this user; set ramdisk.path to a place of your own")


def _check_above(folder: Path) -> None:
    """In a folder that everybody may write, names are safe by the sticky bit alone."""
    if folder.exists() and folder.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        advice = f"`chmod +t {folder}`, or set ramdisk.path to another place"
        raise StagingRefused(f"{folder} can be written by everybody, who could replace what is in it: {advice}")


def _check_ours(folder: Path) -> None:
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        raise StagingRefused(f"{folder} is no folder; remove it, or set ramdisk.path to another place")
    if status.st_uid != os.getuid():
        raise StagingRefused(f"{folder} belongs to user {status.st_uid}; set ramdisk.path to a place of your own")


def _check_state(folder: Path) -> None:
    """The engines' folder is emptied at the end, so one with a stranger's files is refused."""
    if folder.is_dir() and not (folder / OURS).is_file() and any(folder.iterdir()):
        raise StagingRefused(f"{folder} holds files that are not ours; set ramdisk.path to another place")


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, or see that it is one that nobody else can write.

    Raises:
        StagingRefused: it belongs to somebody else, or is none.
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    _check_ours(folder)
    if folder.lstat().st_mode & OTHERS_MAY_WRITE:
        folder.chmod(0o700)


def _make_state(folder: Path) -> None:
    """Make the engines' folder."""
    _make_private(folder)
    _check_state(folder)
    (folder / OURS).touch(mode=0o600)
    folder.chmod(0o700)
