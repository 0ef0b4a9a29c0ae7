from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hoshikage.core.blobs import BUFFER_BYTES, GRACE_S, PARTIAL_KEPT_S, BlobStore, check_digest
from hoshikage.core.errors import InvalidRequest, StorageRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONTENT = b"the stars are out"
HEX = hashlib.sha256(CONTENT).hexdigest()
DIGEST = f"sha256:{HEX}"
LIMIT_S = 5.0
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


async def sent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def names(store: BlobStore) -> list[str]:
    return sorted(file.name for file in store.folder.iterdir())


def aged(file: Path, age_s: float, content: bytes = b"x") -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    then = time.time() - age_s
    os.utime(file, (then, then))
    return file


@pytest.mark.parametrize("separator", [":", "-"])
def test_a_digest_may_be_written_in_two_ways(separator: str):
    """A colon as on the wire, or a dash as in file names; both mean the hex digits."""
    assert check_digest(f"sha256{separator}{HEX}") == HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"sha256:{HEX.upper()}",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX}\n",
        f"sha256:../{HEX}",
        f"../sha256:{HEX}",
        "sha256:../../../../etc/passwd",
        f"sha256:{HEX[:-2]}/.",
        f"sha256:{HEX[:-1]}\0",
        f"sha256:{HEX[:-1]}０",  # a full-width digit
        f"sha512:{HEX}",
        f"sha256%3A{HEX}",
    ],
)
def test_nothing_else_is_a_digest(store: BlobStore, text: str):
    """What is not exactly a digest is refused by every method before it becomes a path."""
    for method in (check_digest, store.path, store.partial, store.has, store.remove):
        with pytest.raises(InvalidRequest, match="digest"):
            method(text)


async def test_what_is_sent_is_stored_under_its_digest(store: BlobStore):
    """The chunks become one file in Ollama's layout, readable by others as model files are."""
    assert await store.take(DIGEST, sent(CONTENT[:5], b"", CONTENT[5:])) is True

    assert store.has(DIGEST)
    assert names(store) == [f"sha256-{HEX}"]
    assert store.path(DIGEST).read_bytes() == CONTENT
    assert store.path(DIGEST).stat().st_mode & 0o777 == 0o644


async def test_many_chunks_are_written_as_they_come(store: BlobStore):
    """More than the buffer holds is stored in order and whole."""
    chunk = bytes(range(256)) * 4096
    chunks = [chunk] * (2 * BUFFER_BYTES // len(chunk) + 1)
    digest = hashlib.sha256(b"".join(chunks)).hexdigest()

    await store.take(f"sha256:{digest}", sent(*chunks))

    assert hashlib.sha256(store.path(f"sha256:{digest}").read_bytes()).hexdigest() == digest


async def test_what_is_there_is_not_taken_again(store: BlobStore):
    """A blob that is here is not read from the sender, and the answer says so."""
    await store.take(DIGEST, sent(CONTENT))

    async def untouchable() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    assert await store.take(DIGEST, untouchable()) is False


async def test_other_content_is_refused_and_leaves_nothing(store: BlobStore):
    """The error names what was announced and what came; the folder is empty."""
    with pytest.raises(InvalidRequest) as caught:
        await store.take(OTHER, sent(CONTENT))

    assert HEX in caught.value.message
    assert OTHER in caught.value.message
    assert names(store) == []


async def test_a_sender_that_breaks_off_leaves_nothing(store: BlobStore):
    """An upload whose client goes away leaves no file."""

    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT[:5]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.take(DIGEST, broken())

    assert names(store) == []


async def test_a_cancelled_upload_leaves_nothing(store: BlobStore):
    """Cancelling is a way to end like any other."""
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield CONTENT
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.take(DIGEST, endless()))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert names(store) == []


async def test_an_upload_that_is_cancelled_at_its_beginning_leaves_nothing(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
):
    """Also where the file is just being made."""
    making, go_on, make = threading.Event(), threading.Event(), store._make

    def slow_make(file: Path, size_bytes: int) -> None:
        making.set()
        go_on.wait(LIMIT_S)
        make(file, size_bytes)

    monkeypatch.setattr(store, "_make", slow_make)
    task = asyncio.create_task(store.take(DIGEST, sent(CONTENT)))
    await asyncio.to_thread(making.wait, LIMIT_S)
    task.cancel()
    go_on.set()
    await asyncio.wait([task], timeout=LIMIT_S)

    assert task.cancelled()
    assert [] == names(store)


async def test_what_has_no_room_is_refused_before_it_comes(store: BlobStore, tmp_path: Path):
    """The error names the folder and both sizes, and nothing is read from the sender."""
    size = shutil.disk_usage(tmp_path).free + (1 << 40)

    async def untouchable() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    with pytest.raises(StorageRefused, match=rf"blobs has \d+ bytes free, and {size} are to come"):
        await store.take(DIGEST, untouchable(), size_bytes=size)

    assert [] == names(store)


async def test_a_full_disk_is_said_with_the_folder_and_what_is_free(store: BlobStore, monkeypatch: pytest.MonkeyPatch):
    """The error tells where to make room, and how much there is; nothing of the upload stays."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StorageRefused, match=r"blobs cannot be written: No space left .*\d+ bytes are free"):
        await store.take(DIGEST, sent(CONTENT))

    assert [] == names(store)


async def test_two_senders_of_one_blob_do_not_mix(store: BlobStore):
    """Uploads of one content at once both succeed, and the blob is whole."""
    gate = asyncio.Barrier(2)

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[:7]
        await gate.wait()
        yield CONTENT[7:]

    assert await asyncio.gather(store.take(DIGEST, slowly()), store.take(DIGEST, slowly())) == [True, True]
    assert names(store) == [f"sha256-{HEX}"]
    assert store.path(DIGEST).read_bytes() == CONTENT


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    """Where a file stands in the way of the folder, the error names the folder and the reason."""
    (tmp_path / "blobs").write_text("in the way")

    with pytest.raises(StorageRefused, match="blobs"):
        await BlobStore(tmp_path / "blobs").take(DIGEST, sent(CONTENT))


async def test_a_link_is_not_a_blob(store: BlobStore, tmp_path: Path):
    """A link under a blob's name is neither followed nor written through; it is replaced."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    store.folder.mkdir()
    store.path(DIGEST).symlink_to(outside)

    assert not store.has(DIGEST)
    assert await store.take(DIGEST, sent(CONTENT)) is True
    assert outside.read_bytes() == b"secret"
    assert store.path(DIGEST).read_bytes() == CONTENT


def test_remove_takes_the_partial_along(store: BlobStore):
    """A blob that goes leaves no half download of itself."""
    aged(store.path(DIGEST), 0)
    aged(store.partial(DIGEST), 0)

    assert store.remove(DIGEST) is True
    assert store.remove(DIGEST) is False
    assert names(store) == []


def test_prune_lets_go_of_what_nobody_names(store: BlobStore):
    """Old blobs without a model go; named ones, new ones and foreign files stay."""
    unnamed = aged(store.path(OTHER), GRACE_S + 60)
    kept = [
        aged(store.path(DIGEST), GRACE_S + 60),
        aged(store.path("sha256:" + "1" * 64), 60),
        aged(store.folder / "notes.txt", PARTIAL_KEPT_S * 2),
    ]

    assert store.prune([DIGEST]) == (unnamed,)
    assert sorted(kept) == sorted(store.folder.iterdir())


def test_prune_without_grace_takes_the_newest_too(store: BlobStore):
    """Who knows that nothing is under way may ask for all at once."""
    aged(store.path(OTHER), 0)

    assert len(store.prune([], grace_s=0)) == 1


def test_prune_keeps_what_can_still_be_resumed(store: BlobStore):
    """Unfinished downloads and uploads go only after a long time without a byte."""
    old = [
        aged(store.partial(DIGEST), PARTIAL_KEPT_S + 60),
        aged(store.folder / f"sha256-{HEX}.abc_12.tmp", PARTIAL_KEPT_S + 60),
    ]
    young = aged(store.partial(OTHER), PARTIAL_KEPT_S - 60)

    assert sorted(store.prune([])) == sorted(old)
    assert list(store.folder.iterdir()) == [young]


def test_prune_of_nothing_is_nothing(store: BlobStore):
    """A folder that does not exist yet has nothing to give."""
    assert store.prune([]) == ()
