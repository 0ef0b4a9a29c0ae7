"""Bringing one large file whose SHA-256 is known: resumed, checked, and under its name only when it is whole."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from hoshikage.core.contracts import DownloadProgress
from hoshikage.core.errors import DownloadFailed, StorageRefused
from hoshikage.core.files import sync_folder, why_not
from hoshikage.core.http.fetch import RETRIED, may_pass, reason_of
from hoshikage.core.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
    from io import FileIO
    from pathlib import Path

    from hoshikage.core.http.fetch import Fetcher

    Report = Callable[[DownloadProgress], None]

log = structlog.get_logger(__name__)

BUFFER_BYTES: Final = 1 << 20
READ_BYTES: Final = 16 << 20
REPORT_INTERVAL_S: Final = 0.1
# How often in a row a transfer may break off without having brought this much. With the pauses between, which double
# up to the longest, a network may be away for half a minute.
MAX_FAILURES: Final = 8
PROGRESS_BYTES: Final = 1 << 20
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0
# How often a server may answer with another part than was asked for, before it is asked for the whole file.
MAX_WRONG_PARTS: Final = 2
# How often to look whether another process that brings the same file is done.
LOCK_INTERVAL_S: Final = 0.2

_PART = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)", re.ASCII)


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


async def bring_all(files: Sequence[RemoteFile], fetcher: Fetcher, report: Report) -> None:
    """Bring the files of one model, one after the other, if there is room for all of them.

    Raises:
        AddressRefused, DownloadFailed, StorageRefused: see `bring`.
    """
    await finish_in_thread(_require_space, files)
    for file in files:
        await bring(file, fetcher, report)


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
        self._wrong_parts = 0
        self._reported_at = -REPORT_INTERVAL_S

    async def run(self) -> None:
        while await finish_in_thread(self._read_what_is_here):
            self._say()
        failures = 0
        while self._done < self._file.size_bytes:
            before = self._done
            try:
                await self._receive()
            except httpx.HTTPError as error:
                failures = 0 if self._done - before >= PROGRESS_BYTES else failures + 1
                if failures >= MAX_FAILURES or not may_pass(error):
                    raise self._broken(reason_of(error)) from error
                log.info("transfer_interrupted", digest=self._file.sha256, done=self._done, reason=reason_of(error))
                await asyncio.sleep(min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S))
        await finish_in_thread(self._finish)

    async def _receive(self) -> None:
        ranged = self._done > 0 and self._wrong_parts < MAX_WRONG_PARTS
        headers = {**self._headers, **({"Range": f"bytes={self._done}-"} if ranged else {})}
        async with self._fetcher.stream(self._file.url, headers) as response:
            known = await self._begin_at(response)
            buffer = bytearray()
            try:
                async for chunk in response.aiter_raw():
                    buffer += chunk[known:]
                    known = max(0, known - len(chunk))
                    self._refuse_excess(buffer)
                    if len(buffer) >= BUFFER_BYTES:
                        await self._keep(buffer)
            finally:  # the last bytes before an interruption are worth as much as all others
                await self._keep(buffer)
        if self._done < self._file.size_bytes:
            raise httpx.RemoteProtocolError("the file ended early")

    async def _begin_at(self, response: httpx.Response) -> int:
        """Make sure that what comes is this file, and goes on where we are or before.

        Returns how many of the bytes that come are here already: a server without ranges sends all of it again.

        Raises:
            DownloadFailed: the server says no.
            httpx.RemoteProtocolError: it says to try again, or sends something else; nothing of that is written.
        """
        status = response.status_code
        if status == 401 and self._file.renew is not None:
            self._headers = await self._file.renew(response.headers.get("www-authenticate", ""))
            raise httpx.RemoteProtocolError("it does not take the token (any more)")
        if status in RETRIED:
            raise httpx.RemoteProtocolError(f"it answers {status}")
        if status not in {200, 206, 416}:
            raise self._broken(f"it answers {status}{_advice(status)}")
        begins_at, size = _part_of(response)
        fits = size in {None, self._file.size_bytes}
        if status == 200:
            if not fits:
                raise self._broken(f"its file has {size} bytes, not the {self._file.size_bytes} that were announced")
            return self._done
        if not fits or begins_at != self._done:
            self._wrong_parts += 1
            raise httpx.RemoteProtocolError(f"asked for what follows byte {self._done}, it answers with another part")
        return 0

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
        with _disk(self._file):
            if os.fstat(self._sink.fileno()).st_size > self._file.size_bytes:
                self._sink.truncate(0)
            data = self._sink.read(READ_BYTES)
        self._digest.update(data)
        self._done += len(data)
        return bool(data)

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
            if not _lies_under(self._sink.fileno(), file.partial):
                raise DownloadFailed(f"{file.partial} was deleted while it came; pull again")
            file.target.parent.mkdir(parents=True, exist_ok=True)
            file.partial.replace(file.target)
            sync_folder(file.target.parent)  # whoever names it now must find it after a power cut


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
            await finish_in_thread(_close, file, sink)


def _close(file: RemoteFile, sink: FileIO) -> None:
    """Close and unlock the partial file; one in which nothing ever came is not left behind."""
    with sink, contextlib.suppress(OSError):
        if os.fstat(sink.fileno()).st_size == 0 and _lies_under(sink.fileno(), file.partial):
            file.partial.unlink()


def _open(file: RemoteFile) -> FileIO | None:
    """Open and lock the partial file; `None` where another holds it, or where it is not needed any more.

    The lock is on the file itself, so none is left behind. Between opening and locking another may have finished
    and renamed it: then what is locked is no longer what lies under the name.
    """
    if _is_here(file):
        return None
    with _disk(file), contextlib.ExitStack() as opened:
        file.partial.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file.partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        sink = opened.enter_context(os.fdopen(descriptor, "r+b", buffering=0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if not _lies_under(descriptor, file.partial):
            return None
        if _is_here(file):
            file.partial.unlink()  # made by the opening above, just after another had finished
            return None
        opened.pop_all()
        return sink


def _lies_under(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _is_here(file: RemoteFile) -> bool:
    return file.target.is_file() and not file.target.is_symlink() and _size(file.target) == file.size_bytes


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _require_space(files: Sequence[RemoteFile]) -> None:
    """Say no before the first byte, where the last will not fit."""
    missing = {file.partial: file for file in files if not _is_here(file)}
    needed = sum(max(0, file.size_bytes - _size(file.partial)) for file in missing.values())
    for file in list(missing.values())[:1]:  # they all go to one folder
        folder = file.partial.parent
        with _disk(file):
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
        if needed > free:
            raise StorageRefused(
                f"{folder} has {free} bytes free, and {needed} more are needed; make room there, then pull again"
            )


def _part_of(response: httpx.Response) -> tuple[int | None, int | None]:
    """Where what comes begins in the file, and the file's size, as far as the server says so."""
    headers = response.headers
    if response.status_code == 200:
        length = headers.get("content-length", "")
        return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    found = _PART.fullmatch(headers.get("content-range", "").strip())
    begins_at, size = found.groups() if found else (None, None)
    return None if begins_at is None else int(begins_at), None if size is None else int(size)


@contextlib.contextmanager
def _disk(file: RemoteFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageRefused(
            f"{file.partial} cannot be written: {why_not(error, file.partial.parent)}, then pull again: of "
            f"{file.size_bytes} bytes {_size(file.partial)} are here, and they are not sent again"
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
