from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hoshikage import Downloaded, DownloadProgress
from hoshikage.core import pulling
from hoshikage.core.errors import DownloadFailed, HoshikageError, InvalidRequest, ServerStopping
from hoshikage.core.pulling import Pulls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

LIMIT_S = 5.0
DIGEST = "sha256:" + "0" * 64
MODEL = "team/tiny"


def part(completed: int, digest: str = DIGEST) -> DownloadProgress:
    return DownloadProgress("pulling 000000000000", digest, 100, completed)


@dataclass
class HeldDownloader:
    """Reports what it is told to, and ends when it may."""

    file: Path
    name: str = "held"
    started: int = 0
    cancelled: int = 0
    insecure: bool = False
    deaf: bool = False
    error: BaseException | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    report: Callable[[DownloadProgress], None] = lambda _: None

    def accepts(self, reference: str) -> bool:
        return "://" not in reference

    async def download(
        self, reference: str, progress: Callable[[DownloadProgress], None], *, insecure: bool = False
    ) -> Downloaded:
        self.started += 1
        self.insecure = insecure
        self.report = progress
        progress(DownloadProgress("pulling manifest"))
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            if not self.deaf:
                raise
            await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return Downloaded(reference, self.file, "0" * 64)


@dataclass
class FakeModels:
    """A registry that remembers."""

    names: list[str] = field(default_factory=list)
    taken: str = ""

    def check(self, name: str) -> None:
        if name == self.taken:
            raise InvalidRequest("taken")

    async def verify(self, found: Downloaded) -> tuple[Path, ...]:
        return ()

    async def put(self, name: str, found: Downloaded, adapters: Sequence[Path]) -> None:
        self.names.append(name)


@pytest.fixture
def downloader(tmp_path: Path) -> HeldDownloader:
    return HeldDownloader(tmp_path / "x")


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
async def pulls(downloader: HeldDownloader, models: FakeModels) -> AsyncIterator[Pulls]:
    pulls = Pulls([downloader], models)  # type: ignore[arg-type]
    yield pulls
    await pulls.stop()


async def all_of(pulls: Pulls, reference: str = MODEL, **options: bool | str) -> list[DownloadProgress]:
    async with asyncio.timeout(LIMIT_S):
        return [step async for step in pulls.pull(reference, **options)]


async def test_the_steps_end_with_success(pulls: Pulls, downloader: HeldDownloader, models: FakeModels):
    """What the downloader reports, then checking, writing and success; the model is registered under its name."""
    downloader.go_on.set()

    steps = await all_of(pulls)

    assert [s.status for s in steps] == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert models.names == [MODEL]


async def test_a_name_may_be_given(pulls: Pulls, downloader: HeldDownloader, models: FakeModels):
    """The model is registered under it, whatever the reference is."""
    downloader.go_on.set()

    await all_of(pulls, name="mine", insecure=True)

    assert models.names == ["mine"]
    assert downloader.insecure


async def test_two_who_ask_share_one_download(pulls: Pulls, downloader: HeldDownloader, models: FakeModels):
    """Whatever the case of letters and the tag `latest`; both hear the end."""
    tasks = [asyncio.create_task(all_of(pulls, name)) for name in (MODEL, "Team/Tiny:latest")]
    await asyncio.wait_for(downloader.begun.wait(), LIMIT_S)
    downloader.go_on.set()

    ends = [(await task)[-1].status for task in tasks]

    assert ends == ["success", "success"]
    assert (downloader.started, models.names) == (1, [MODEL])


async def test_a_late_joiner_hears_the_latest_of_each_step(pulls: Pulls, downloader: HeldDownloader):
    """Not the whole history, and nothing that is no longer true."""
    first = pulls.pull(MODEL)
    await anext(first)
    other = "sha256:" + "1" * 64
    for step in (part(1), part(50), part(100), part(7, other)):
        downloader.report(step)

    async with aclosing(pulls.pull(MODEL)) as late:
        heard = [await anext(late) for _ in range(3)]

    assert heard == [DownloadProgress("pulling manifest"), part(100), part(7, other)]
    await first.aclose()


async def test_a_slow_reader_hears_only_where_it_stands(pulls: Pulls, downloader: HeldDownloader):
    """Unread steps of one file are one: nothing piles up behind a client that does not read."""
    steps = pulls.pull(MODEL)
    await anext(steps)
    for completed in range(100):
        downloader.report(part(completed))

    assert await anext(steps) == part(99)
    await steps.aclose()


async def test_the_download_ends_when_the_last_one_leaves(pulls: Pulls, downloader: HeldDownloader):
    """One who leaves takes nothing from the others."""
    first, second = pulls.pull(MODEL), pulls.pull(MODEL)
    await anext(first)
    await anext(second)

    await first.aclose()
    cancelled_early = downloader.cancelled
    await second.aclose()

    assert (cancelled_early, downloader.cancelled) == (0, 1)


async def test_a_cancelled_asker_leaves(pulls: Pulls, downloader: HeldDownloader):
    """Being cancelled is a way to leave, and the next who asks begins anew."""
    task = asyncio.create_task(all_of(pulls))
    await asyncio.wait_for(downloader.begun.wait(), LIMIT_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    downloader.go_on.set()

    steps = await all_of(pulls)

    assert task.cancelled()
    assert (downloader.cancelled, downloader.started) == (1, 2)
    assert steps[-1].status == "success"


@pytest.mark.parametrize("error", [None, DownloadFailed("gone")])
async def test_who_comes_after_the_end_does_not_wait_for_one_who_still_reads(
    pulls: Pulls, downloader: HeldDownloader, error: DownloadFailed | None
):
    """A download that is over while a slow client has not read its end yet is begun anew, not joined."""
    slow = pulls.pull(MODEL)
    await anext(slow)
    other = asyncio.create_task(all_of(pulls))
    await asyncio.sleep(0)
    downloader.error = error
    downloader.go_on.set()
    await asyncio.wait([other], timeout=LIMIT_S)
    downloader.error = None

    steps = await all_of(pulls)

    assert "success" == steps[-1].status
    assert 2 == downloader.started
    await slow.aclose()


async def test_a_download_that_is_cancelled_from_within_is_told(pulls: Pulls, downloader: HeldDownloader):
    """A plug-in that cancels its own task leaves nobody waiting."""
    downloader.go_on.set()
    downloader.error = asyncio.CancelledError()

    with pytest.raises(ServerStopping, match="pull again"):
        await all_of(pulls)


async def test_all_hear_of_a_failure(pulls: Pulls, downloader: HeldDownloader, models: FakeModels):
    """Each gets the error after what it has not read yet; nothing is registered."""
    downloader.error = DownloadFailed("gone")
    steps = pulls.pull(MODEL)
    other = asyncio.create_task(all_of(pulls))
    first = await anext(steps)
    downloader.report(part(5))
    downloader.go_on.set()
    second = await anext(steps)

    with pytest.raises(DownloadFailed, match="gone"):
        await anext(steps)
    with pytest.raises(DownloadFailed, match="gone"):
        await other

    assert (first.status, second, models.names) == ("pulling manifest", part(5), [])


async def test_a_broken_downloader_is_named(pulls: Pulls, downloader: HeldDownloader):
    """What a plug-in raises besides our errors becomes one, and its text, which may hold anything, stays in the log."""
    downloader.error = ZeroDivisionError("hf_secret")
    downloader.go_on.set()

    with pytest.raises(DownloadFailed, match="'held' failed: ZeroDivisionError") as caught:
        await all_of(pulls)

    assert "hf_secret" not in caught.value.message


async def test_a_stopping_server_tells_those_who_wait(pulls: Pulls, downloader: HeldDownloader):
    """The error says that what came is kept."""
    task = asyncio.create_task(all_of(pulls))
    await asyncio.wait_for(downloader.begun.wait(), LIMIT_S)

    await pulls.stop()

    with pytest.raises(ServerStopping, match="is kept"):
        await task
    with pytest.raises(ServerStopping):
        await all_of(pulls)
    assert (downloader.started, downloader.cancelled) == (1, 1)


async def test_a_download_that_is_deaf_does_not_hold_up_the_end(
    pulls: Pulls, downloader: HeldDownloader, monkeypatch: pytest.MonkeyPatch
):
    """All who wait are told at once, whatever the plug-in does, and the end comes after a bounded time."""
    monkeypatch.setattr(pulling, "STOP_LIMIT_S", 0.02)
    downloader.deaf = True
    tasks = [asyncio.create_task(all_of(pulls, name)) for name in (MODEL, "team/other")]
    await asyncio.wait_for(downloader.begun.wait(), LIMIT_S)
    await asyncio.sleep(0)

    async with asyncio.timeout(LIMIT_S):
        await pulls.stop()
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LIMIT_S)
    downloader.go_on.set()

    assert [ServerStopping, ServerStopping] == [type(error) for error in found]


@pytest.mark.parametrize(
    "reference", ["", "../x", "a/../b", "/etc/passwd", "a\\b", "a\0b", "a b", "%2e%2e/x", "x" * 300, "https://", "-x"]
)
async def test_bad_references_reach_no_downloader(pulls: Pulls, downloader: HeldDownloader, reference: str):
    """What could not be a name is refused before anybody is asked."""
    with pytest.raises(InvalidRequest):
        await all_of(pulls, reference)

    assert downloader.started == 0


async def test_a_bad_name_is_refused_first(pulls: Pulls, downloader: HeldDownloader, models: FakeModels):
    """A name that is not allowed or taken costs no download."""
    models.taken = "taken"
    for name in ("../x", "taken"):
        with pytest.raises(InvalidRequest):
            await all_of(pulls, name=name)

    assert downloader.started == 0


async def test_what_nobody_takes_is_said_with_who_is_there(models: FakeModels):
    """The error lists the downloaders."""
    with pytest.raises(InvalidRequest, match="there are: none"):
        await all_of(Pulls([], models))  # type: ignore[arg-type]


async def test_an_internal_error_reaches_the_asker(
    pulls: Pulls, downloader: HeldDownloader, models: FakeModels, monkeypatch: pytest.MonkeyPatch
):
    """A fault of ours ends the wait too, without its text."""

    async def broken(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(models, "put", broken)
    downloader.go_on.set()

    with pytest.raises(HoshikageError, match="internal error") as caught:
        await all_of(pulls)
    assert "inside" not in caught.value.message
