"""The predecessor's conversations, out of databases that a real ChromaDB has written the way it did."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from pathlib import Path

import chromadb
import httpx
import pytest
from structlog.testing import capture_logs

from hoshikage import Owner
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.predecessor.database import LOCAL_OWNER, PredecessorUnreadable, read_predecessor
from hoshikage.plugins.memory.settings import MemorySettings
from hoshikage.plugins.memory.store import SqliteMemory
from tests.server import ServerProcess

SAID = [
    ("user", "うちの猫は蜜柑という名前です。", "20250102", "10:11:12", False),
    ("assistant", "かわいい名前ですね。", "20250102", "10:11:13", False),
    ("user", "It sleeps all day.", "20240301", "08:00:00", True),
]


class Embedding(chromadb.EmbeddingFunction):
    """Stands for the sentence-transformers of the predecessor; Chroma writes its name and settings down."""

    def __init__(self) -> None:
        """Nothing is loaded."""

    def __call__(self, input):  # noqa: A002  Chroma's name
        return [[float(len(text)), 1.0] for text in input]

    @staticmethod
    def name() -> str:
        return "sentence_transformer"

    def get_config(self) -> dict[str, object]:
        return {"model_name": "cl-nagoya/ruri-small-v2", "device": "cpu", "normalize_embeddings": True, "kwargs": {}}

    @staticmethod
    def build_from_config(config):
        return Embedding()


def old_database(folder: Path, *rows: tuple[object, ...], function: object = None, **about: object) -> Path:
    """Write records as the predecessor's `save_chroma` did; `about` goes into the metadata of each."""
    client = chromadb.PersistentClient(path=str(folder))
    collection = client.get_or_create_collection("short_memory_db", embedding_function=function)
    for role, text, day, clock, compressed in rows:
        metadata = {"role": role, "create_date": day, "create_time": clock, "compressed": compressed, **about}
        vectors = None if function is not None else [[1.0, 2.0]]
        collection.add(ids=[uuid.uuid4().hex], documents=[text], metadatas=[metadata], embeddings=vectors)
    client.close()
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def read(folder: Path, scratch: Path):
    return read_predecessor(folder, scratch, lambda text: "" if text.strip() else "it is empty")


@pytest.mark.parametrize("function", [None, Embedding()], ids=["without a function", "with its function"])
def test_roles_dates_and_order_are_kept(tmp_path, function):
    """The oldest first, whatever was written first; the old files stay as they were, and of the copy nothing stays."""
    old = old_database(tmp_path / "old", *SAID, function=function)
    before = digests(old)
    found = read(old, tmp_path / "scratch").memories
    times = [datetime.fromtimestamp(memory.said_at).strftime("%Y%m%d %H:%M:%S") for _, memory in found]  # noqa: DTZ006

    assert ["It sleeps all day.", SAID[0][1], SAID[1][1]] == [memory.text for _, memory in found]
    assert ["20240301 08:00:00", "20250102 10:11:12", "20250102 10:11:13"] == times
    assert [("user", "turn"), ("user", "turn"), ("assistant", "turn")] == [(m.role, m.kind) for _, m in found]
    assert (before, []) == (digests(old), list((tmp_path / "scratch").iterdir()))


def test_what_cannot_be_kept_is_counted(tmp_path):
    """By reason; a date that is none becomes the time of the file."""
    rows = [("system", "You are a cat.", "20250102", "10:11:12", False), ("user", " ", "20250102", "10:11:12", False)]
    old = old_database(tmp_path / "old", *rows, ("user", "When?", "soon", "", False))
    found = read(old, tmp_path / "scratch")

    assert {"said by system": 1, "empty, too long, or no Unicode": 1} == dict(found.skipped)
    assert [(old / "chroma.sqlite3").stat().st_mtime] == [memory.said_at for _, memory in found.memories]


def test_another_collection_is_none_of_ours(tmp_path):
    """A Chroma of somebody else is left alone."""
    client = chromadb.PersistentClient(path=str(tmp_path / "old"))
    client.create_collection("other", embedding_function=None).add(ids=["1"], embeddings=[[1.0]], documents=["x"])
    client.close()

    assert [] == read(tmp_path / "old", tmp_path / "scratch").memories


def test_a_damaged_database_is_told(tmp_path):
    """With its folder, and what to do."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "chroma.sqlite3").write_bytes(b"no database at all" * 100)

    with pytest.raises(PredecessorUnreadable, match=r"old cannot be read: .*chroma\.path"):
        read(tmp_path / "old", tmp_path / "scratch")


async def started(folder: Path, old: Path) -> tuple[SqliteMemory, list[dict[str, object]]]:
    """A store that has taken everything in, and what it said."""
    store = SqliteMemory(MemorySettings(), folder, predecessor=old)
    with capture_logs() as logs:
        await store.start()
        await store._taking
    return store, [line for line in logs if "predecessor" in line["event"]]


async def test_each_is_taken_in_once(tmp_path):
    """However often the server starts; what is forgotten does not come back, and what is new there comes."""
    old = old_database(tmp_path / "old", *SAID)
    counts, memories = [], []
    for more in ([], [], [("user", "Later.", "20250301", "10:00:00", False)]):
        if more:
            old_database(old, *more)
        store, logs = await started(tmp_path / "new", old)
        counts.append([(line["imported"], line["known_already"]) for line in logs])
        memories.append(sorted(m.text for m in await store.newest(LOCAL_OWNER, limit=10)))
        for memory in await store.newest(LOCAL_OWNER, limit=10):
            if "猫" in memory.text:
                await store.forget(LOCAL_OWNER, memory.id)
        await store.stop()

    kept = sorted(text for _, text, *_ in SAID if "猫" not in text)
    assert [[(3, 0)], [], [(1, 3)]] == counts
    assert [sorted(text for _, text, *_ in SAID), kept, sorted([*kept, "Later."])] == memories


async def test_those_on_this_machine_find_them(tmp_path):
    """The predecessor knew no users; nobody else sees them."""
    store, _ = await started(tmp_path / "new", old_database(tmp_path / "old", *SAID))
    mine = await store.search(LOCAL_OWNER, "猫の名前は？", limit=1)
    theirs = await store.search(Owner("other"), "猫の名前は？", limit=1)
    await store.stop()

    assert ([SAID[0][1]], []) == ([item.memory.text for item in mine], theirs)


@pytest.mark.parametrize("content", [None, b"no database" * 100])
async def test_what_cannot_be_read_stops_nothing(tmp_path, content):
    """A folder without a database says nothing; a damaged one is one line, and tried again at the next start."""
    (tmp_path / "old").mkdir()
    if content:
        (tmp_path / "old" / "chroma.sqlite3").write_bytes(content)
    store, logs = await started(tmp_path / "new", tmp_path / "old")
    note = await store.add(LOCAL_OWNER, "It works.")
    await store.stop()

    assert "It works." == note.text
    assert (["predecessor_not_imported"] if content else []) == [line["event"] for line in logs]
    assert not Database.open(tmp_path / "new" / "memories.sqlite3").imported.known(["x"])


def test_a_server_takes_them_in_from_chroma_path(tmp_path):
    """Under the old name of the setting, for whoever asks from this machine without a key; a server takes seconds."""
    old_database(tmp_path / "old", *SAID)
    (tmp_path / "data").mkdir()
    server = ServerProcess(tmp_path / "data", {"CHROMA_PATH": str(tmp_path / "old")})
    try:
        line = server.wait_for("predecessor_imported")
        rows, theirs = (
            httpx.get(f"{server.url}/v1/memories", headers=headers).raise_for_status().json()["data"]
            for headers in ({}, {"Authorization": "Bearer key"})
        )
    finally:
        server.stop()

    assert (3, 0, {}) == (line["imported"], line["known_already"], line["skipped"])
    assert {(role, text) for role, text, *_ in SAID} == {(row["role"], row["text"]) for row in rows}
    assert [] == theirs
