"""Pulling models: one running download for each reference, shared by all who ask for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from hoshikage.core.contracts import DownloadProgress
from hoshikage.core.errors import DownloadFailed, HoshikageError, InvalidRequest, ServerStopping
from hoshikage.core.names import check_name, name_key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from hoshikage.core.contracts import Downloaded, Downloader
    from hoshikage.core.pulled import PulledModels

    Report = Callable[[DownloadProgress], None]
    Steps = Callable[[Report], Awaitable[None]]

log = structlog.get_logger(__name__)

# How long to wait for the end of a download that nobody wants any more; a plug-in may be deaf to cancelling.
STOP_LIMIT_S: Final = 10.0


class _Key(NamedTuple):
    """What two who ask must share to share a download."""

    reference: str
    name: str
    insecure: bool


class Pulls:
    """All downloads under way. Build it inside the event loop that it will live in."""

    def __init__(self, downloaders: Sequence[Downloader], models: PulledModels) -> None:
        self._downloaders = downloaders
        self._models = models
        self._running: dict[_Key, _Pull] = {}
        self._stopping = False

    async def pull(
        self, reference: str, *, name: str = "", insecure: bool = False
    ) -> AsyncGenerator[DownloadProgress, None]:
        """Bring a model and register it, under its own name if no other is given; the last step is `success`.

        Who asks for what is already being pulled shares that, and hears first how far it is. When the last of them
        leaves, the download stops; what is here stays for the next time.

        Raises:
            InvalidRequest: the reference is none, nobody here can bring such a thing, or the name is taken.
            DownloadFailed, AddressRefused, StorageRefused, ModelFileError, RegistryError: before or after any step.
            ServerStopping: the server goes down meanwhile.
        """
        if self._stopping:
            raise _stopped()
        downloader = self._downloader(reference)
        self._models.check(check_name(name or _without_scheme(reference)))
        key = _Key(name_key(reference), name_key(name), insecure)
        pull = self._running.get(key)
        if pull is None or pull.is_over:  # it stays as long as somebody still reads how it ended
            pull = self._running[key] = _Pull(self._steps(downloader, reference, name, insecure=insecure), reference)
        asker = pull.join()
        try:
            while (step := await asker.next()) is not None:
                yield step
        finally:
            if pull.leave(asker):
                if self._running.get(key) is pull:
                    del self._running[key]
                await pull.end()

    async def stop(self) -> None:
        """End all downloads and begin no more; those who wait are told. Idempotent."""
        self._stopping = True
        pulls = list(self._running.values())
        for pull in pulls:
            pull.fail(_stopped())
        await asyncio.gather(*(pull.end() for pull in pulls))

    # --- inside ---

    def _downloader(self, reference: str) -> Downloader:
        check_name(_without_scheme(reference))
        for downloader in self._downloaders:
            if downloader.accepts(reference):
                return downloader
        kinds = ", ".join(d.name for d in self._downloaders) or "none"
        raise InvalidRequest(
            f"no downloader takes {reference[:100]!r}; there are: {kinds}. Write name:tag, or hf.co/org/repo:QUANT",
            param="model",
        )

    def _steps(self, downloader: Downloader, reference: str, name: str, *, insecure: bool) -> Steps:
        async def steps(report: Report) -> None:
            log.info("pull_started", reference=reference, downloader=downloader.name)
            found = await _download(downloader, reference, report, insecure=insecure)
            report(DownloadProgress("verifying sha256 digest"))
            adapters = await self._models.verify(found)
            report(DownloadProgress("writing manifest"))
            await self._models.put(name or found.name, found, adapters)
            report(DownloadProgress("success"))
            log.info("pull_done", reference=reference, model=name or found.name, digest=found.digest)

        return steps


async def _download(downloader: Downloader, reference: str, report: Report, *, insecure: bool) -> Downloaded:
    """Guard the plug-in: what it raises besides our own errors is one of them."""
    try:
        return await downloader.download(reference, report, insecure=insecure)
    except HoshikageError:
        raise
    except Exception as error:
        log.exception("downloader_failed", downloader=downloader.name)
        raise DownloadFailed(
            f"the downloader {downloader.name!r} failed: {type(error).__name__}; the server's log has the details"
        ) from error


class _Pull:
    """One download, and all who wait for it."""

    def __init__(self, steps: Steps, reference: str) -> None:
        self._latest: dict[tuple[str, str], DownloadProgress] = {}
        self._askers: list[_Asker] = []
        self._over = False
        self._task = asyncio.create_task(self._run(steps), name=f"pull {reference}")

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        return self._over

    def join(self) -> _Asker:
        """One more asks; the latest of each step is what it hears first."""
        asker = _Asker(self._latest.values())
        self._askers.append(asker)
        return asker

    def leave(self, asker: _Asker) -> bool:
        """One asks no more. Returns whether it was the last."""
        self._askers.remove(asker)
        return not self._askers

    def fail(self, error: HoshikageError | None) -> None:
        """Tell all that nothing comes any more, and why."""
        self._over = True
        for asker in self._askers:
            asker.end(error)

    async def end(self) -> None:
        """Stop the download, if it still runs, and wait for its end, but not for ever."""
        self._task.cancel()
        if not (await asyncio.wait([self._task], timeout=STOP_LIMIT_S))[0]:
            log.warning("pull_does_not_stop", task=self._task.get_name(), limit_s=STOP_LIMIT_S)

    def _report(self, step: DownloadProgress) -> None:
        self._latest[step.status, step.digest] = step
        for asker in self._askers:
            asker.put(step)

    async def _run(self, steps: Steps) -> None:
        error: HoshikageError | None = None
        try:
            await steps(self._report)
        except HoshikageError as failure:
            log.info("pull_refused", task=self._task.get_name(), reason=failure.message)
            error = failure
        except asyncio.CancelledError:
            log.info("pull_stopped", task=self._task.get_name())
            self.fail(_stopped())  # whoever did not want it to stop must not wait for ever
            raise
        except Exception:
            log.exception("pull_failed")
            error = HoshikageError("internal error; the server's log has the details under this request id")
        self.fail(error)


class _Asker:
    """One who waits for steps: they wait for it too, but only the latest of each."""

    def __init__(self, steps: Iterable[DownloadProgress]) -> None:
        self._unread = deque(steps)
        self._ended = False
        self._error: HoshikageError | None = None
        self._news = asyncio.Event()

    def put(self, step: DownloadProgress) -> None:
        """Add a step; one that only goes on where the last unread one was takes its place."""
        last = self._unread[-1] if self._unread else None
        if last is not None and (last.status, last.digest) == (step.status, step.digest):
            self._unread.pop()
        self._unread.append(step)
        self._news.set()

    def end(self, error: HoshikageError | None) -> None:
        """There are no more steps."""
        if not self._ended:
            self._ended, self._error = True, error
        self._news.set()

    async def next(self) -> DownloadProgress | None:
        """The next step; `None` after the last.

        Raises:
            HoshikageError: the download failed.
        """
        while not self._unread and not self._ended:
            self._news.clear()
            await self._news.wait()
        if self._unread:
            return self._unread.popleft()
        if self._error is not None:
            raise self._error
        return None


def _stopped() -> ServerStopping:
    return ServerStopping("the server is shutting down; what is here is kept: pull again", retry_after_s=5)


def _without_scheme(reference: str) -> str:
    return reference.removeprefix("https://").removeprefix("http://")
