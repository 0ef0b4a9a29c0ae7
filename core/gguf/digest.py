"""SHA-256 of model files and of whole models, computed once per version of a file."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import structlog
from filelock import FileLock, Timeout

from hoshikage.core.errors import ModelFileError
from hoshikage.core.files import write_atomically
from hoshikage.core.gguf.opening import open_model_file
from hoshikage.core.gguf.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

CHUNK_BYTES: Final = 8 << 20
LOCK_LIMIT_S: Final = 10.0


def sha256_of(file: Path, *, progress: Callable[[int], None] | None = None, chunk_bytes: int = CHUNK_BYTES) -> str:
    """The file's SHA-256 as 64 hex digits; `progress` hears the bytes read so far after each chunk.

    Raises:
        ModelFileError: the file cannot be read, or it changed meanwhile.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(chunk_bytes))
    done = 0
    with open_model_file(file) as stream:
        before = _version(os.fstat(stream.fileno()))
        while size := stream.readinto(buffer):
            digest.update(buffer[:size])
            done += size
            if progress is not None:
                progress(done)
        after = _version(os.fstat(stream.fileno()))
    if before != after:
        raise ModelFileError(f"{file} changed while it was read; try again when it is complete")
    return digest.hexdigest()


def combined_sha256(digests: Sequence[str]) -> str:
    """The digest of a model with these files: of one, its own; of several, the SHA-256 over theirs, one a line.

    `sha256sum NAME-*-of-*.gguf | cut -c-64 | sha256sum` gives the same.
    """
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


class CachedDigest(msgspec.Struct, frozen=True):
    """A digest and the version of the file that it belongs to."""

    size_bytes: int
    mtime_ns: int
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class DigestCache:
    """Remembers digests in a JSON file by absolute path; a link is the file that it leads to.

    It is only a cache: where it is corrupt or cannot be written, it says so in the log and the digest is
    computed again. Reads need no lock, because every change ends in an atomic rename.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[tuple[int, int, int] | None, Mapping[str, CachedDigest]] = (None, {})

    def get(self, file: Path) -> str | None:
        """The digest, if one is known for the file as it is now."""
        cached = self._entries().get(os.path.realpath(file))
        if cached is None:
            return None
        try:
            size_bytes, mtime_ns = _version(file.stat())
        except OSError:
            return None
        return cached.sha256 if (cached.size_bytes, cached.mtime_ns) == (size_bytes, mtime_ns) else None

    def put(self, file: Path, digest: str) -> None:
        """Remember the digest of the file as it is now."""
        self.put_all({file: digest})

    def put_all(self, digests: Mapping[Path, str]) -> None:
        """Remember the digests of several files as they are now, in one go."""
        self._remember((file, digest, _version_of(file)) for file, digest in digests.items())

    def model(self, file: Path) -> str | None:
        """The digest of the whole model, if one is known for each of its files as they are now."""
        digests = [self.get(part) for part in parts_of(file)]
        known = [digest for digest in digests if digest is not None]
        return combined_sha256(known) if len(known) == len(digests) else None

    def read_model(self, file: Path, *, progress: Callable[[int], None] | None = None) -> str:
        """The same, for which files that are not known are read; `progress` hears the bytes done of all files.

        Raises:
            ModelFileError: a file is missing, cannot be read, or changed meanwhile.
            OSError: a file vanished meanwhile.
        """
        done = 0
        digests: list[str] = []
        for part in parts_of(file):
            digests.append(self._known_or_read(part, _after(done, progress)))
            done += part.stat().st_size
        return combined_sha256(digests)

    # --- inside ---

    def _known_or_read(self, file: Path, progress: Callable[[int], None]) -> str:
        digest = self.get(file)
        if digest is None:
            before = _version_of(file)  # another file that takes its name now must not get its digest
            digest = sha256_of(file, progress=progress)
            self._remember([(file, digest, before)])
        return digest

    def _remember(self, found: Iterable[tuple[Path, str, tuple[int, int] | None]]) -> None:
        entries = {
            os.path.realpath(file): CachedDigest(size_bytes=version[0], mtime_ns=version[1], sha256=digest)
            for file, digest, version in found
            if version is not None
        }
        if not entries:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=LOCK_LIMIT_S):
                self._write({**self._entries(), **entries})
        except (OSError, Timeout) as error:
            log.warning("digest_not_cached", cache=str(self._path), files=sorted(entries), reason=str(error))

    def _write(self, entries: Mapping[str, CachedDigest]) -> None:
        # The standard library's JSON, because paths may hold bytes that are no UTF-8.
        content = json.dumps(msgspec.to_builtins(entries), indent=2)
        write_atomically(self._path, content.encode() + b"\n")

    def _entries(self) -> Mapping[str, CachedDigest]:
        """What the file holds, read again only when it has changed."""
        try:
            stat = self._path.stat()
            version = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            known_version, entries = self._known
            if version != known_version:
                entries = self._parse(self._path.read_bytes())
                self._known = (version, entries)
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("digest_cache_unreadable", cache=str(self._path), reason=str(error))
            return {}
        return entries

    def _parse(self, content: bytes) -> Mapping[str, CachedDigest]:
        try:
            return msgspec.convert(json.loads(content), dict[str, CachedDigest])
        except (ValueError, RecursionError) as error:
            log.warning("digest_cache_corrupt", cache=str(self._path), reason=str(error))
            return {}


def _after(done: int, progress: Callable[[int], None] | None) -> Callable[[int], None]:
    """Progress that begins where earlier files ended."""

    def hear(count: int) -> None:
        if progress is not None:
            progress(done + count)

    return hear


def _version_of(file: Path) -> tuple[int, int] | None:
    """The version of a file; `None` where it is gone."""
    try:
        return _version(file.stat())
    except OSError:
        return None


def _version(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns
