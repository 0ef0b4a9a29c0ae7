from __future__ import annotations

import asyncio
import hashlib
import random
import resource
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from hoshikage.core.errors import DownloadFailed, StorageRefused
from hoshikage.core.http import transfer
from hoshikage.core.http.addresses import AddressRules
from hoshikage.core.http.fetch import Fetcher, FetchLimits
from hoshikage.core.http.transfer import RemoteFile, bring, bring_all
from tests.file_server import FileServer, Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from hoshikage import DownloadProgress

LIMIT_S = 20.0
CONTENT = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/file"
SMALL_DISK_BYTES = 1 << 20
HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().serving() as server:
        server.pages[PATH] = Served(CONTENT)
        yield server


@pytest.fixture
async def fetcher(server: FileServer) -> AsyncIterator[Fetcher]:
    rules = AddressRules([server.host], plain_http=True)
    async with Fetcher(rules, FetchLimits(stall_s=0.5)) as fetcher:
        yield fetcher


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are short here."""
    monkeypatch.setattr(transfer, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(transfer, "LOCK_INTERVAL_S", 0.01)


def remote(server: FileServer, folder: Path, *, sha256: str = SHA256, size_bytes: int = len(CONTENT)) -> RemoteFile:
    return RemoteFile(
        url=server.url + PATH,
        headers={"Authorization": "Bearer t"},
        sha256=sha256,
        size_bytes=size_bytes,
        target=folder / "done" / "file",
        partial=folder / "file-partial",
    )


def ignore(_: DownloadProgress) -> None:
    pass


def left(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


def no_leftovers(folder: Path) -> bool:
    return left(folder) == ["done/file"]


async def test_a_file_comes_whole(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """It lies under its name, nothing else does, and the last report says that all is here."""
    reports: list[DownloadProgress] = []
    file = remote(server, tmp_path)

    await bring(file, fetcher, reports.append)

    assert file.target.read_bytes() == CONTENT
    assert no_leftovers(tmp_path)
    assert {r.digest for r in reports} == {f"sha256:{SHA256}"}
    assert {r.status for r in reports} == {f"pulling {SHA256[:12]}"}
    assert [r.completed for r in reports] == sorted(r.completed for r in reports)
    assert (reports[-1].completed, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert server.asked[0].headers["Authorization"] == "Bearer t"


async def test_what_is_here_is_not_asked_for(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A second time costs no request."""
    file = remote(server, tmp_path)
    await bring(file, fetcher, ignore)

    await bring(file, fetcher, ignore)

    assert len(server.asked) == 1
    assert no_leftovers(tmp_path)


async def test_an_interrupted_transfer_goes_on(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A connection that breaks twice costs no byte twice."""
    server.pages[PATH] = Served(CONTENT, cut_after=[1_200_000, 900_000])

    await bring(remote(server, tmp_path), fetcher, ignore)

    assert (tmp_path / "done" / "file").read_bytes() == CONTENT
    assert server.sent[PATH] == len(CONTENT)
    assert [a.headers.get("Range") for a in server.asked] == [None, "bytes=1200000-", "bytes=2100000-"]


async def test_a_network_that_is_away_for_a_while_ends_nothing(server: FileServer, tmp_path: Path):
    """While it is away not even names are known; the transfer goes on when they are again."""
    server.pages[PATH] = Served(CONTENT, cut_after=[1_200_000])
    away = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    answers = [None, away, TimeoutError(), None]

    async def find(host: str, port: int) -> list[str]:
        if error := answers.pop(0):
            raise error
        return ["127.0.0.1"]

    file = replace(remote(server, tmp_path), url=f"http://models.example:{server.port}{PATH}")
    async with Fetcher(AddressRules(["models.example"], plain_http=True), find=find) as fetcher:
        await bring(file, fetcher, ignore)

    assert CONTENT == file.target.read_bytes()
    assert [] == answers


async def test_a_name_that_is_none_is_final(server: FileServer, tmp_path: Path):
    """A host that does not exist is asked for once."""
    asked = []

    async def find(host: str, port: int) -> list[str]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    file = replace(remote(server, tmp_path), url=f"http://models.example:{server.port}{PATH}")
    async with Fetcher(AddressRules(["models.example"], plain_http=True), find=find) as fetcher:
        with pytest.raises(DownloadFailed, match="check its spelling"):
            await bring(file, fetcher, ignore)

    assert ["models.example"] == asked


async def test_a_later_try_goes_on_where_the_first_ended(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Giving up keeps what is here, the error says so, and the next call asks for the rest only."""
    page = server.pages[PATH] = Served(CONTENT, cut_after=[1_000_000, *[0] * transfer.MAX_FAILURES])
    file = remote(server, tmp_path)

    with pytest.raises(DownloadFailed, match="1000000 of 3000000 bytes are here"):
        await bring(file, fetcher, ignore)
    page.cut_after.clear()
    await bring(file, fetcher, ignore)

    assert file.target.read_bytes() == CONTENT
    assert server.sent[PATH] == len(CONTENT)


async def test_a_server_without_ranges_begins_anew(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Where the server ignores the range, the beginning is not glued before itself."""
    server.pages[PATH] = Served(CONTENT, ranges=False, cut_after=[1_000_000])

    await bring(remote(server, tmp_path), fetcher, ignore)

    assert (tmp_path / "done" / "file").read_bytes() == CONTENT


async def test_a_wrong_range_is_not_written(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A 206 with another part than the one asked for is thrown away."""
    file = remote(server, tmp_path)
    file.partial.write_bytes(CONTENT[:1000])
    wrong = Served(CONTENT, 206, {"Content-Range": "bytes 5-9/10"}, ranges=False)
    server.pages[PATH] = lambda asked: wrong if asked.headers.get("Range") else Served(CONTENT)

    await bring(file, fetcher, ignore)

    assert file.target.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", ["bit", "long"])
async def test_a_damaged_beginning_is_found_out(server: FileServer, fetcher: Fetcher, tmp_path: Path, damage: str):
    """A partial file that is not the beginning never becomes a model; at the next try it comes whole."""
    file = remote(server, tmp_path)
    file.partial.write_bytes(b"x" + CONTENT[1:1000] if damage == "bit" else CONTENT + b"x")

    if damage == "bit":
        with pytest.raises(DownloadFailed, match="digest"):
            await bring(file, fetcher, ignore)
        assert left(tmp_path) == []
    await bring(file, fetcher, ignore)

    assert file.target.read_bytes() == CONTENT


async def test_another_content_is_deleted(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A wrong digest leaves nothing behind, and the error names both."""
    server.pages[PATH] = Served(CONTENT[:-1] + b"!")
    found = hashlib.sha256(CONTENT[:-1] + b"!").hexdigest()

    with pytest.raises(DownloadFailed) as caught:
        await bring(remote(server, tmp_path), fetcher, ignore)

    assert SHA256 in caught.value.message
    assert found in caught.value.message
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("claimed", "words"), [(None, "its file has 3000000 bytes, not the 1000"), (-1, "more than the 1000 bytes")]
)
async def test_a_server_that_sends_too_much_is_cut_off(
    server: FileServer, fetcher: Fetcher, tmp_path: Path, claimed: int | None, words: str
):
    """More than was announced is refused before it fills the disk, whether the server says so or not."""
    server.pages[PATH] = Served(CONTENT, claimed=claimed)

    with pytest.raises(DownloadFailed, match=words):
        await bring(remote(server, tmp_path, size_bytes=1000), fetcher, ignore)

    assert left(tmp_path) == []


async def test_another_page_is_not_glued_to_what_is_here(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A page of a proxy in the place of the file is an error that names both sizes; what is here stays as it is."""
    file = remote(server, tmp_path)
    file.partial.write_bytes(CONTENT[:1000])
    server.pages[PATH] = Served(b"<html>log in first</html>", ranges=False)

    with pytest.raises(DownloadFailed, match="25 bytes, not the 3000000"):
        await bring(file, fetcher, ignore)

    assert CONTENT[:1000] == file.partial.read_bytes()


async def test_a_server_without_ranges_costs_nothing_that_is_here(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Where it sends all again and breaks off early, the rest is still what is missing at the next try."""
    file = remote(server, tmp_path)
    file.partial.write_bytes(CONTENT[:2_000_000])
    cuts = [1_000_000] * transfer.MAX_FAILURES
    page = server.pages[PATH] = Served(CONTENT, ranges=False, cut_after=cuts)

    with pytest.raises(DownloadFailed, match="2000000 of 3000000 bytes are here"):
        await bring(file, fetcher, ignore)
    kept = file.partial.read_bytes()
    page.cut_after.clear()
    await bring(file, fetcher, ignore)

    assert CONTENT[:2_000_000] == kept
    assert CONTENT == file.target.read_bytes()


async def test_one_wrong_part_costs_nothing_that_is_here(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A server that errs once is asked for the same part again, not for all."""
    file = remote(server, tmp_path)
    file.partial.write_bytes(CONTENT[:2_000_000])
    answers = [Served(b"", 206, {"Content-Range": "bytes 5-9/3000000"}, ranges=False), Served(CONTENT)]
    server.pages[PATH] = lambda _: answers.pop(0)

    await bring(file, fetcher, ignore)

    assert CONTENT == file.target.read_bytes()
    assert 1_000_000 == server.sent[PATH]


async def test_a_file_that_is_shorter_at_the_server_is_given_up(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A server that has no more than a part, and says so only when asked for the rest, is not asked for ever."""
    short = Served(CONTENT[:2_000_000], claimed=-1)
    no_more = Served(b"", 416, {"Content-Range": "bytes */2000000"})
    server.pages[PATH] = lambda asked: no_more if asked.headers.get("Range") else short

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(DownloadFailed, match="2000000 of 3000000 bytes are here"):
            await bring(remote(server, tmp_path), fetcher, ignore)

    assert len(server.asked) <= transfer.MAX_FAILURES + 1


async def test_a_partial_file_that_somebody_replaced_gets_no_name(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Whoever deletes it in the middle, and begins another, does not get that one taken for the whole file."""
    server.pages[PATH] = Served(CONTENT, hold_after=2_000_000)
    file = remote(server, tmp_path)
    task = asyncio.create_task(bring(file, fetcher, ignore))
    await asyncio.to_thread(server.holding.wait, LIMIT_S)
    file.partial.unlink()
    file.partial.write_bytes(b"of somebody else")
    server.release.set()

    with pytest.raises(DownloadFailed, match="was deleted while it came"):
        await asyncio.wait_for(task, LIMIT_S)

    assert ["file-partial"] == left(tmp_path)


async def test_the_folder_is_synced_when_the_file_is_there(
    server: FileServer, fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The name survives a power cut before anybody writes it down."""
    synced: list[list[str]] = []
    monkeypatch.setattr(transfer, "sync_folder", lambda folder: synced.append(left(folder)))

    await bring(remote(server, tmp_path), fetcher, ignore)

    assert [["file"]] == synced


async def test_nothing_that_came_leaves_no_empty_file(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """After a refusal the folder is as it was."""
    server.pages[PATH] = Served(b"", 404)

    with pytest.raises(DownloadFailed):
        await bring(remote(server, tmp_path), fetcher, ignore)

    assert [] == left(tmp_path)


async def test_a_body_that_is_shorter_than_announced_is_not_taken(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A truncated file is asked for again, and in the end an error, never a model."""
    server.pages[PATH] = Served(CONTENT[:1000])

    with pytest.raises(DownloadFailed):
        await bring(remote(server, tmp_path), fetcher, ignore)

    assert "done/file" not in left(tmp_path)


@pytest.mark.parametrize(("status", "words"), [(401, "token"), (403, "token"), (404, "no such file"), (400, "400")])
async def test_a_refusal_is_final(server: FileServer, fetcher: Fetcher, tmp_path: Path, status: int, words: str):
    """An answer that will not change is asked for once, and the error says what it means."""
    server.pages[PATH] = Served(b"", status)

    with pytest.raises(DownloadFailed, match=words):
        await bring(remote(server, tmp_path), fetcher, ignore)

    assert len(server.asked) == 1


async def test_a_server_in_trouble_is_asked_again(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """500, 503 and 429 may pass; the transfer waits and tries again."""
    server.pages[PATH] = Served(CONTENT, statuses=[500, 503, 429])

    await bring(remote(server, tmp_path), fetcher, ignore)

    assert (tmp_path / "done" / "file").read_bytes() == CONTENT


async def test_a_server_in_lasting_trouble_is_given_up(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """The tries are bounded."""
    server.pages[PATH] = Served(b"", 500)

    with pytest.raises(DownloadFailed, match="500"):
        await bring(remote(server, tmp_path), fetcher, ignore)

    assert len(server.asked) == transfer.MAX_FAILURES


async def test_a_server_that_stalls_is_asked_for_the_rest(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """After the stall limit the transfer goes on over a new connection, from where it was."""
    stalling, healthy = Served(CONTENT, hold_after=2_000_000), Served(CONTENT)
    server.pages[PATH] = lambda asked: healthy if asked.headers.get("Range") else stalling

    async with asyncio.timeout(LIMIT_S):
        await bring(remote(server, tmp_path), fetcher, ignore)

    assert (tmp_path / "done" / "file").read_bytes() == CONTENT
    assert server.sent[PATH] == len(CONTENT)


async def test_a_cancelled_transfer_keeps_what_came(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Cancelling closes and unlocks the file, and what was received is there for the next try."""
    server.pages[PATH] = Served(CONTENT, hold_after=2_000_000)
    file = remote(server, tmp_path)
    arrived = asyncio.Event()
    task = asyncio.create_task(bring(file, fetcher, lambda p: arrived.set() if p.completed else None))
    await asyncio.wait_for(arrived.wait(), LIMIT_S)
    await asyncio.to_thread(server.holding.wait, LIMIT_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    kept = file.partial.stat().st_size

    server.pages[PATH] = Served(CONTENT)
    sent = server.sent[PATH]
    await bring(file, fetcher, ignore)

    assert task.cancelled()
    assert 1_000_000 <= kept <= 2_000_000
    assert server.sent[PATH] - sent == len(CONTENT) - kept


async def test_two_tasks_bring_one_file_once(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """The second waits for the first, hears how far it is, and costs no request."""
    file = remote(server, tmp_path)
    heard: list[DownloadProgress] = []

    await asyncio.gather(bring(file, fetcher, ignore), bring(file, fetcher, heard.append))

    assert len(server.asked) == 1
    assert heard[-1].completed == len(CONTENT)
    assert no_leftovers(tmp_path)


async def test_another_process_is_waited_for(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A process that holds the partial file is not disturbed; when it dies, its work is taken over."""
    file = remote(server, tmp_path)
    file.partial.write_bytes(CONTENT[:1_500_000])
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(file.partial), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    await asyncio.wait_for(holder.stdout.readline(), LIMIT_S)
    waiting = asyncio.Event()
    task = asyncio.create_task(bring(file, fetcher, lambda p: waiting.set() if p.completed == 1_500_000 else None))
    await asyncio.wait_for(waiting.wait(), LIMIT_S)
    asked_meanwhile = len(server.asked)
    holder.kill()
    await holder.communicate()
    await asyncio.wait_for(task, LIMIT_S)

    assert asked_meanwhile == 0
    assert server.sent[PATH] == 1_500_000
    assert no_leftovers(tmp_path)


async def test_a_link_in_the_place_of_the_partial_is_not_followed(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A link that somebody put there writes nothing outside."""
    file = remote(server, tmp_path)
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    file.partial.symlink_to(outside)

    with pytest.raises(StorageRefused):
        await bring(file, fetcher, ignore)

    assert outside.read_bytes() == b"secret"


async def test_too_small_a_disk_is_said_before_the_first_byte(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Files that do not fit all together are refused with both numbers, and nothing is asked for."""
    size = shutil.disk_usage(tmp_path).free * 6 // 10
    first = remote(server, tmp_path, size_bytes=size)
    second = replace(first, target=tmp_path / "done" / "second", partial=tmp_path / "second-partial")

    with pytest.raises(StorageRefused, match=r"bytes free, and \d+ more"):
        await bring_all([first, second], fetcher, ignore)

    assert server.asked == []


async def test_what_is_here_needs_no_room(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """A file that is here, and the same file twice, are not counted again."""
    file = remote(server, tmp_path)
    await bring_all([file, file], fetcher, ignore)

    await bring_all([file], fetcher, ignore)

    assert len(server.asked) == 1


@dataclass
class SmallDisk:
    """A place for 1 MiB: a file system of its own, or without the right to mount a limit on the size of files."""

    folder: Path
    mounted: bool = False

    def __enter__(self) -> Self:
        self.folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "none", str(self.folder)]
        self.mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
        if not self.mounted:
            self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK_BYTES, self.limits[1]))
        return self

    def make_room(self) -> None:
        """Let more fit."""
        if self.mounted:
            size = f"remount,size={2 * len(CONTENT)}"
            subprocess.run(["mount", "-o", size, str(self.folder)], check=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        else:
            self.make_room()


async def test_a_disk_that_fills_up_keeps_what_is_there(server: FileServer, fetcher: Fetcher, tmp_path: Path):
    """Another program takes the room meanwhile: one clear error, and with room again only the rest comes."""
    with SmallDisk(tmp_path / "disk") as disk:
        file = remote(server, disk.folder)
        words = r"disk/file-partial cannot be written: .*\d+ bytes are free.*of 3000000 bytes \d+ are"
        with pytest.raises(StorageRefused, match=words):
            await bring(file, fetcher, ignore)
        kept = file.partial.stat().st_size
        disk.make_room()
        await bring(file, fetcher, ignore)
        last = server.asked[-1].headers["Range"]

        assert 0 < kept <= SMALL_DISK_BYTES
        assert last == f"bytes={kept}-"
        assert file.target.read_bytes() == CONTENT
