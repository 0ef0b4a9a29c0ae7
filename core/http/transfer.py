"""Bringing one large file whose SHA-256 is known: resumed, checked, and under its name only when it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from hoshikage.core.contracts import DownloadProgress
from hoshikage.core.errors import DownloadFailed, StorageRefused
from hoshikage.core.http.fetch import reason_of
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
    from io import FileIO
    from pathlib import Path

    from hoshikage.core.http.fetch import Fetcher

    Report = Callable[[DownloadProgress], None]

log = structlog.get_logger(__name__)

BUFFER_BYTES: Final = 1 << 20
READ_BYTES: Final = 16 << 20
REPORT_INTERVAL_S: Final = 0.1
# How often in a row a transfer may break off without having brought this much.
MAX_FAILURES: Final = 4
PROGRESS_BYTES: Final = 1 << 20
FIRST_PAUSE_S: Final = 0.2
# How often to look whether another process that brings the same file is done.
LOCK_INTERVAL_S: Final = 0.2
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file and where it shall be.

    Attributes:
        url: where it is.
        headers: what to send along, credentials too.
        sha256: what it must be, 64 hex digits.
        size_bytes: how large it must be.
        target: where it appears when it is whole.
        partial: where it grows; kept when the transfer ends early.
        renew: gives new headers for a 401 and its `WWW-Authenticate`: tokens expire in long transfers.
    """

    url: str
    headers: Mapping[str, str]
    sha256: str
    size_bytes: int
    target: Path
    partial: Path
    renew: Callable[[str], Awaitable[Mapping[str, str]]] | None = None

    def progress(self, completed: int) -> DownloadProgress:
        """How far it is, in Ollama's words."""
        return DownloadProgress(f"pulling {self.sha256[:12]}", f"sha256:{self.sha256}", self.size_bytes, completed)


async def bring(file: RemoteFile, fetcher: Fetcher, report: Report) -> None:
    """Bring a file, unless it is here. What an earlier try left is not sent again.

    Another process or task that brings the same file is waited for, and its progress reported.

    Raises:
        AddressRefused: see `Fetcher.stream`.
        DownloadFailed: it cannot be had, or it is not what it should be; then nothing of it is kept.
        StorageRefused: the disk is full; what is here is kept.
    """
    async with _locked(file, report) as sink:
        if sink is not None:
            await _Transfer(file, fetcher, report, sink).run()
    report(file.progress(file.size_bytes))


class _Transfer:
    """One file on its way; the sink is locked for this alone."""

    def __init__(self, file: RemoteFile, fetcher: Fetcher, report: Report, sink: FileIO) -> None:
        self._file = file
        self._fetcher = fetcher
        self._report = report
        self._sink = sink
        self._headers = file.headers
        self._digest = hashlib.sha256()
        self._done = 0
        self._reported_at = -REPORT_INTERVAL_S

    async def run(self) -> None:
        while await finish_in_thread(self._read_what_is_here):
            self._say()
        _require_space(self._file, self._done)
        failures = 0
        while self._done < self._file.size_bytes:
            before = self._done
            try:
                await self._receive()
            except httpx.HTTPError as error:
                failures = 0 if self._done - before >= PROGRESS_BYTES else failures + 1
                if failures >= MAX_FAILURES:
                    raise self._broken(reason_of(error)) from error
                log.info("transfer_interrupted", digest=self._file.sha256, done=self._done, reason=reason_of(error))
                await asyncio.sleep(FIRST_PAUSE_S * 2**failures)
        await finish_in_thread(self._finish)

    async def _receive(self) -> None:
        headers = {**self._headers, **({"Range": f"bytes={self._done}-"} if self._done else {})}
        async with self._fetcher.stream(self._file.url, headers) as response:
            await self._begin_at(response)
            buffer = bytearray()
            try:
                async for chunk in response.aiter_raw():
                    buffer += chunk
                    self._refuse_excess(buffer)
                    if len(buffer) >= BUFFER_BYTES:
                        await self._keep(buffer)
            finally:  # the last bytes before an interruption are worth as much as all others
                await self._keep(buffer)
        if self._done < self._file.size_bytes:
            raise httpx.RemoteProtocolError("the file ended early")

    async def _begin_at(self, response: httpx.Response) -> None:
        """Make sure that what comes goes on where we are.

        Raises:
            DownloadFailed: the server says no.
            httpx.RemoteProtocolError: it says to try again.
        """
        status = response.status_code
        if status == 401 and self._file.renew is not None:
            self._headers = await self._file.renew(response.headers.get("www-authenticate", ""))
            raise httpx.RemoteProtocolError("it does not take the token (any more)")
        if status in RETRIED:
            raise httpx.RemoteProtocolError(f"it answers {status}")
        if status == 206 and response.headers.get("content-range", "").startswith(f"bytes {self._done}-"):
            return
        if status not in {200, 206, 416}:
            raise self._broken(f"it answers {status}{_advice(status)}")
        if self._done:  # a server without ranges sends all of it again
            await finish_in_thread(self._begin_anew)
        if status != 200:
            raise httpx.RemoteProtocolError("it sends another part than was asked for")

    async def _keep(self, buffer: bytearray) -> None:
        data = bytes(buffer)
        buffer.clear()
        if data:
            await finish_in_thread(self._append, data)
        self._say()

    def _say(self) -> None:
        """Report, but not too often."""
        if time.monotonic() - self._reported_at >= REPORT_INTERVAL_S:
            self._reported_at = time.monotonic()
            self._report(self._file.progress(self._done))

    def _refuse_excess(self, buffer: bytearray) -> None:
        if self._done + len(buffer) > self._file.size_bytes:
            buffer.clear()
            self._file.partial.unlink(missing_ok=True)
            raise DownloadFailed(
                f"{httpx.URL(self._file.url).host} sends more than the {self._file.size_bytes} bytes that it announced "
                f"for sha256:{self._file.sha256}; nothing of it was kept"
            )

    def _broken(self, reason: str) -> DownloadFailed:
        url = httpx.URL(self._file.url)
        return DownloadFailed(
            f"{url.host}{url.path}: {reason}; {self._done} of {self._file.size_bytes} bytes are here, and the next "
            "pull goes on from there"
        )

    # --- in a thread ---

    def _read_what_is_here(self) -> bool:
        """Add the next piece of what an earlier try left to the digest. Returns whether there is more.

        In pieces, because cancelling waits for the end of one.
        """
        if os.fstat(self._sink.fileno()).st_size > self._file.size_bytes:
            self._sink.truncate(0)
        data = self._sink.read(READ_BYTES)
        self._digest.update(data)
        self._done += len(data)
        return bool(data)

    def _begin_anew(self) -> None:
        self._sink.seek(0)
        self._sink.truncate(0)
        self._digest, self._done = hashlib.sha256(), 0

    def _append(self, data: bytes) -> None:
        with _disk(self._file):
            rest = memoryview(data)
            while rest:  # a raw file may take less than it is given
                rest = rest[self._sink.write(rest) :]
        self._digest.update(data)
        self._done += len(data)

    def _finish(self) -> None:
        file, found = self._file, self._digest.hexdigest()
        if found != file.sha256:
            file.partial.unlink(missing_ok=True)
            raise DownloadFailed(
                f"what came from {httpx.URL(file.url).host} has the digest sha256:{found}, not sha256:{file.sha256} as "
                "announced; nothing of it was kept: pull again, and if that fails too, the server's file is damaged"
            )
        with _disk(file):
            os.fsync(self._sink.fileno())
            file.target.parent.mkdir(parents=True, exist_ok=True)
            file.partial.replace(file.target)


@contextlib.asynccontextmanager
async def _locked(file: RemoteFile, report: Report) -> AsyncGenerator[FileIO | None, None]:
    """The partial file, open and locked against other processes and tasks; `None` if the whole one is here."""
    sink = await finish_in_thread(_open, file)
    while sink is None and not _is_here(file):
        report(file.progress(_size(file.partial)))
        await asyncio.sleep(LOCK_INTERVAL_S)
        sink = await finish_in_thread(_open, file)
    try:
        yield sink
    finally:
        if sink is not None:
            await finish_in_thread(sink.close)


def _open(file: RemoteFile) -> FileIO | None:
    """Open and lock the partial file; `None` where another holds it, or where it is not needed any more.

    The lock is on the file itself, so none is left behind. Between opening and locking another may have finished
    and renamed it: then what is locked is no longer what lies under the name.
    """
    if _is_here(file):
        return None
    with _disk(file):
        file.partial.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file.partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    sink = os.fdopen(descriptor, "r+b", buffering=0)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == file.partial.stat().st_ino:
            if not _is_here(file):
                return sink
            file.partial.unlink()  # made by the opening above, just after another had finished
    except (BlockingIOError, FileNotFoundError):
        pass
    sink.close()
    return None


def _is_here(file: RemoteFile) -> bool:
    return file.target.is_file() and not file.target.is_symlink() and _size(file.target) == file.size_bytes


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _require_space(file: RemoteFile, done: int) -> None:
    """Say no before the first byte, where the last will not fit."""
    free, needed = shutil.disk_usage(file.partial.parent).free, file.size_bytes - done
    if needed > free:
        raise StorageRefused(
            f"{file.partial.parent} has {free} bytes free, and {needed} more are needed; make room there, then pull "
            "again"
        )


@contextlib.contextmanager
def _disk(file: RemoteFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageRefused(
            f"{file.partial} cannot be written: {error.strerror}; make room or set its rights right, then pull again: "
            "what is here is not sent again"
        ) from error


def _advice(status: int) -> str:
    """What to do about an answer."""
    match status:
        case 401 | 403:
            return " (it wants a token, or yours may not read this)"
        case 404:
            return " (there is no such file)"
        case _:
            return ""
