"""Files named after their content: the blobs of pulled and created models, in Ollama's layout."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from typing import TYPE_CHECKING, Final

from hoshikage.core.errors import InvalidRequest, StorageRefused
from hoshikage.core.files import sync_folder, why_not
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator
    from hashlib import _Hash as Hash  # has no public name
    from pathlib import Path

# Between the chunks of an upload and the disk, so that a thread is not asked for each few KiB.
BUFFER_BYTES: Final = 4 << 20
# An upload that no create has named yet, and a layer of a model that is still being pulled, must outlive a prune.
GRACE_S: Final = 24 * 3600.0
# What was interrupted is kept this long for the next try.
PARTIAL_KEPT_S: Final = 14 * 24 * 3600.0

_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_BLOB = re.compile(r"sha256-([0-9a-f]{64})")
_UNFINISHED = re.compile(r"sha256-[0-9a-f]{64}(-partial|\.\w+\.tmp)")


def check_digest(text: str) -> str:
    """The 64 hex digits of a digest, written `sha256:<hex>` or `sha256-<hex>`; no other text becomes a path.

    Raises:
        InvalidRequest: it is anything else.
    """
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise InvalidRequest(
            f"the digest {text[:80]!r} is not allowed; it must be sha256: and 64 hex digits in lower case",
            param="digest",
        )
    return found[1]


def digest_in_name(file: Path) -> str:
    """The 64 hex digits in the name of a blob; of another file nothing."""
    found = _BLOB.fullmatch(file.name)
    return found[1] if found else ""


class BlobStore:
    """The folder `blobs` of the data directory: one file `sha256-<hex>` for each content.

    A file under its final name is whole and checked. Digests are given as `check_digest` takes them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be."""
        return self.folder / f"sha256-{check_digest(digest)}"

    def partial(self, digest: str) -> Path:
        """Where a download of it grows; it is kept when the download ends early."""
        return self.folder / f"sha256-{check_digest(digest)}-partial"

    def has(self, digest: str) -> bool:
        """Whether it is here. A link is not: it could lead anywhere."""
        path = self.path(digest)
        return path.is_file() and not path.is_symlink()

    async def take(self, digest: str, chunks: AsyncIterator[bytes], *, size_bytes: int = 0) -> bool:
        """Store what is sent, if it is what the digest says. Returns False where it was here already.

        It appears under its name whole or not at all; what was refused or broke off leaves nothing behind.

        Args:
            digest: what it must be.
            chunks: its content.
            size_bytes: how much will come, as far as the sender says so; what has no room is refused before it comes.

        Raises:
            InvalidRequest: the content has another digest; both are named.
            StorageRefused: the disk is full, or the folder cannot be written.
        """
        wanted = check_digest(digest)
        if await finish_in_thread(self.has, digest):
            return False
        temporary = self.folder / f"sha256-{wanted}.{secrets.token_hex(8)}.tmp"
        try:  # from before the file is there: its making may be what is cancelled
            await finish_in_thread(self._make, temporary, size_bytes)
            _refuse_other(await _write(temporary, chunks), wanted)
            await finish_in_thread(self._place, temporary, wanted)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        return True

    def remove(self, digest: str) -> bool:
        """Delete a blob and what there is of a download of it. Returns whether the blob was here."""
        path = self.path(digest)
        found = path.is_file()
        with _refused(self.folder):
            path.unlink(missing_ok=True)
            self.partial(digest).unlink(missing_ok=True)
        return found

    def prune(self, in_use: Collection[str], *, grace_s: float = GRACE_S) -> tuple[Path, ...]:
        """Delete the blobs that nobody names and what was left unfinished long ago. Returns what went.

        Args:
            in_use: the digests that models name.
            grace_s: blobs younger than this stay: somebody may be about to name them.
        """
        named = {check_digest(digest) for digest in in_use}
        gone = [file for file in _files(self.folder) if _is_waste(file, named, grace_s)]
        with _refused(self.folder):
            for file in gone:
                file.unlink(missing_ok=True)
        return tuple(gone)

    # --- inside ---

    def _make(self, file: Path, size_bytes: int) -> None:
        with _refused(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if size_bytes > free:
                raise StorageRefused(
                    f"{self.folder} has {free} bytes free, and {size_bytes} are to come; make room there, then send "
                    "the file again"
                )
            file.touch(mode=0o644, exist_ok=False)
            file.chmod(0o644)

    def _place(self, file: Path, digest: str) -> Path:
        target = self.folder / f"sha256-{digest}"
        with _refused(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            file.replace(target)
            sync_folder(self.folder)
        return target


def _refuse_other(found: str, wanted: str) -> None:
    if found != wanted:
        raise InvalidRequest(
            f"the content has the digest sha256:{found}, not sha256:{wanted} as announced; nothing was kept: send the "
            "file again",
            param="digest",
        )


async def _write(file: Path, chunks: AsyncIterator[bytes]) -> str:
    """Write the chunks and sync them; off the loop, a few MiB at a time. Returns the digest of what came."""
    digest = hashlib.sha256()
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        if len(buffer) >= BUFFER_BYTES:
            await finish_in_thread(_append, file, digest, bytes(buffer))
            buffer.clear()
    await finish_in_thread(_append, file, digest, bytes(buffer), sync=True)
    return digest.hexdigest()


def _append(file: Path, digest: Hash, data: bytes, *, sync: bool = False) -> None:
    digest.update(data)
    with _refused(file.parent), file.open("ab") as stream:
        stream.write(data)
        if sync:
            stream.flush()
            os.fsync(stream.fileno())


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_waste(file: Path, named: Collection[str], grace_s: float) -> bool:
    """Whether a file may go; what is not named like ours never does."""
    try:
        age_s = time.time() - file.lstat().st_mtime
    except OSError:
        return False
    blob = _BLOB.fullmatch(file.name)
    if blob is not None:
        return blob[1] not in named and age_s >= grace_s
    return _UNFINISHED.fullmatch(file.name) is not None and age_s >= PARTIAL_KEPT_S


@contextlib.contextmanager
def _refused(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageRefused(f"{folder} cannot be written: {why_not(error, folder)}, then try again") from error
