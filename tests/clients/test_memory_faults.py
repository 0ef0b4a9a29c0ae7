"""What goes wrong with memory is told in the log and by its own routes, and is never a failure of the chat."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.remembering import FACT, QUESTION, Remembering, ask
from tests.plugins.ramdisk.disks import is_mounted, ram_disk
from tests.server import ServerProcess

MIB = 1 << 20
LINES = 20
BIG = "x" * 50_000


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 2 MiB."""
    with ram_disk(tmp_path / "disk", size_bytes=2 * MIB) as disk:
        if not is_mounted(disk):
            pytest.skip("mounting is not allowed here, and no other disk is small enough to fill")
        yield disk


def fill(disk: Path) -> Path:
    """Leave no room; the file that takes it."""
    filler = disk / "filler"
    filler.write_bytes(b"\0" * shutil.disk_usage(disk).free)
    return filler


def events(server: Remembering, *names: str) -> list[dict[str, Any]]:
    """The lines of the log that are one of these events."""
    return [line for line in server.running.lines if line["event"] in names]


def test_a_full_disk(start_server: Callable[..., ServerProcess], small_disk: Path):
    """The chat goes on, writing is refused and later resumes, and what was acknowledged is there all the time."""
    server = Remembering(start_server(HOSHIKAGE_MEMORY__FOLDER=str(small_disk), HOSHIKAGE_MEMORY__EMBEDDER="none"))
    server.tell()
    filler = fill(small_disk)
    kept = {FACT}
    with server.web() as web:
        for number in range(LINES):
            refused = web.post("/v1/memories", json={"text": f"note {number} {BIG}"})
            if not refused.is_success:
                break
            kept.add(refused.json()["text"])
        answer = ask(server.client(memory="on"), f"A cat {BIG[:5000]}")
        reason = server.running.wait_for("not_remembered")["reason"]
        seen = ask(server.client(memory="read"), QUESTION)
        found = server.texts()
        filler.unlink()
        web.post("/v1/memories", json={"text": "There is room."}).raise_for_status()
    server.tell("I have a dog.")

    assert (503, "memory_unavailable") == (refused.status_code, refused.json()["error"]["code"])
    assert answer.endswith(BIG[:5000])
    assert all("database or disk is full" in text for text in (reason, refused.json()["error"]["message"]))
    assert FACT in seen
    assert kept == found
    assert kept | {"There is room.", "I have a dog."} == server.texts()


# --- a damaged file ---


def remembered(server: ServerProcess) -> Path:
    """Write so much that the file has many pages, stop the server, and give the file."""
    served = Remembering(server)
    with served.web() as web:
        lines = "\n".join(f'{{"text": "note {n} of the cat {"word " * 50}"}}' for n in range(200))
        web.post("/v1/memories/import", content=lines).raise_for_status()
    server.stop()
    return server.data_dir / "memory" / "memories.sqlite3"


def garbage_header(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"\xa5" * 100)


def truncated(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def spoiled_page(file: Path) -> None:
    """A page with texts; the file opens as if nothing were wrong."""
    content = file.read_bytes()
    page = content.rindex(b"note 150 of the cat") // 4096 * 4096
    with file.open("r+b") as stream:
        stream.seek(page)
        stream.write(b"\xa5" * 4096)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a file with many memories."""
    server = ServerProcess(tmp_path_factory.mktemp("sound"), {"HOSHIKAGE_MEMORY__EMBEDDER": "none"})
    return remembered(server).read_bytes()


@pytest.mark.parametrize("damage", [garbage_header, truncated, spoiled_page])
def test_a_damaged_file(start_server: Callable[..., ServerProcess], tmp_path: Path, sound: bytes, damage):
    """The server starts and chats; one line of the log and every route say what is wrong; no byte is changed."""
    file = tmp_path / "memory" / "memories.sqlite3"
    file.parent.mkdir()
    file.write_bytes(sound)
    damage(file)
    before = file.read_bytes()
    server = Remembering(start_server(tmp_path))
    with server.web() as web:
        answers = [web.get(f"/v1/memories{path}") for path in ("/export", "", "?q=cat", "/stats")]
        answers.append(web.post("/v1/memories", json={"text": "new"}))
    seen = [ask(server.client(memory="on"), text) for text in (QUESTION, FACT)]
    server.running.stop()
    lines = events(server, "memory_unavailable")

    assert [QUESTION, FACT] == seen
    assert 1 == len(lines), lines
    assert str(file) in lines[0]["reason"]
    assert "move it away" in lines[0]["reason"]
    for answer in answers:
        assert (503, "memory_unavailable") == (answer.status_code, answer.json()["error"]["code"])
        assert str(file) in answer.json()["error"]["message"]
    assert before == file.read_bytes()


# --- too slow, too long ---


def test_a_slow_recall(start_server: Callable[..., ServerProcess]):
    """The answer comes without what was not found in time, and the log says why; writing goes on."""
    server = Remembering(start_server(HOSHIKAGE_MEMORY__RECALL_LIMIT_S="0.000001"))
    server.tell()
    seen = ask(server.client(memory="read"), QUESTION)
    reasons = [line["reason"] for line in events(server, "recall_failed")]

    assert QUESTION == seen
    # The first one has nothing to look through, and may be done before any clock has ticked.
    assert {"it took longer than the 1e-06 s of memory.recall_limit_s"} == set(reasons)


def test_a_text_of_a_megabyte(start_server: Callable[..., ServerProcess]):
    """It is refused with the limit wherever it is written; a chat with it is answered, and the log says the rest."""
    server = Remembering(start_server(HOSHIKAGE_ECHO__CONTEXT_LENGTH="2000000"))
    server.tell()
    before, long = server.memories(), "word " * 200_000
    with server.web() as web:
        line = f'{{"text": "fine"}}\n{{"text": "{long}"}}'
        answers = [
            web.post("/v1/memories", json={"text": long}),
            web.patch(f"/v1/memories/{before[0]['id']}", json={"text": long}),
            web.post("/v1/memories/import", content=line),
        ]
    answer = ask(server.client(memory="on"), long, max_tokens=1)
    logged = server.running.wait_for("turn_too_long_to_remember")

    for refused in answers:
        error = refused.json()["error"]
        assert (400, "invalid_request", "text") == (refused.status_code, error["code"], error["param"])
        assert "1000000 characters; memory.max_text_chars allows 100000" in error["message"]
    assert "word" == answer.strip()
    assert ("user", 1_000_000, 100_000) == (logged["role"], logged["characters"], logged["max_text_chars"])
    assert before == [row for row in server.memories() if row["text"] != answer]
