"""Verifying finds each kind of damage, and rebuilding mends what is made from the memories."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import apsw
import numpy as np
import pytest

from hoshikage import Caller, ChatRequest, Memory, MemoryCheck, MemoryUse, Message, Owner
from hoshikage.core.errors import MemoryUnavailable
from hoshikage.plugins.memory.index import vector_index
from hoshikage.plugins.memory.rows import indexed
from hoshikage.plugins.memory.settings import MemorySettings
from hoshikage.plugins.memory.store import SqliteMemory
from hoshikage.plugins.memory.text import terms_of
from hoshikage.plugins.memory.upkeep import checking
from tests.fakes import until

OWNER = Owner("k", "ann")
# The second memory, as the index of words loses it.
DOG = indexed(1, terms_of("My dog is called Mikan."))
LOST = f"INSERT INTO term (term, rowid, terms) VALUES ('delete', 2, '{DOG}')"


class Letters:
    """An embedder that counts letters."""

    name = "letters"
    identity = "letters 1"
    dimensions = 26
    related_from = 0.9

    def at_hand(self) -> bool:
        return True

    async def start(self) -> None:
        """Everything is known."""

    async def embed(self, texts, kind):
        counts = np.array([[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], dtype=np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
async def store_with(tmp_path: Path, monkeypatch):
    """Builds stores with a few memories that have their vectors; all are stopped at the end."""
    monkeypatch.setattr(vector_index, "LOOK_EVERY_S", 0.01)
    built: list[SqliteMemory] = []

    async def build(**settings: object) -> SqliteMemory:
        store = SqliteMemory(MemorySettings(**settings), tmp_path, [Letters()])
        built.append(store)
        await store.start()
        texts = [f"My {word} is called Mikan." for word in ("cat", "dog", "zebra", "fox")]
        await store.take(OWNER, [Memory("", text, 1.0, "user", "turn", text) for text in texts])
        await embedded(store)
        return store

    yield build
    for store in built:
        await store.stop()


async def embedded(store: SqliteMemory) -> None:
    """Wait until every memory has its vector."""
    connection = apsw.Connection(str(store._file))
    missing = "SELECT count(*) FROM memory WHERE number NOT IN (SELECT memory FROM vector)"
    await until(lambda: not connection.execute(missing).fetchone()[0])
    connection.close()


async def results(steps) -> dict[str, tuple[int, int, int]]:
    """The last step of each part: looked at, total, wrong."""
    return {step.part: (step.looked_at, step.total, step.wrong) async for step in steps}


async def advice(steps) -> str:
    return "; ".join({step.part: step.advice async for step in steps}.values())


def spoil(store: SqliteMemory, *statements: str) -> None:
    """Change the file behind the store's back."""
    connection = apsw.Connection(str(store._file))
    connection.set_busy_timeout(5_000)  # the store may still be at work in the background
    for statement in statements:
        connection.execute(statement)
    connection.close()


SOUND = {"file": (1, 1, 0), "words": (4, 4, 0), "vectors": (4, 4, 0), "index": (0, 0, 0)}


async def test_a_sound_store(store_with):
    """Everything was looked at, and nothing is wrong."""
    store = await store_with()

    assert SOUND == await results(store.verify())


@pytest.mark.parametrize(
    ("part", "wrong", "statements"),
    [
        ("words", 1, [LOST]),
        ("words", 1, ["INSERT INTO term (rowid, terms) VALUES (99, '1xquagga')"]),
        ("words", 1, [LOST, "INSERT INTO term (rowid, terms) VALUES (2, '1xother')"]),
        ("words", 4, ["UPDATE term_data SET block = zeroblob(length(block)) WHERE id > 10"]),
        ("words", 4, ["DELETE FROM term_data", "DELETE FROM term_idx"]),
        ("vectors", 1, ["UPDATE vector SET numbers = x'00ff' WHERE memory = 2"]),
        ("vectors", 2, ["UPDATE vector SET numbers = zeroblob(52) WHERE memory > 2"]),
    ],
)
async def test_damage_is_found_and_mended(store_with, part, wrong, statements):
    """The search finds everything again, and the next look finds nothing wrong."""
    store = await store_with()
    spoil(store, *statements)
    found = await results(store.verify())
    advised = await advice(store.verify())
    rebuilt = await results(store.rebuild())
    await embedded(store)
    words = await store.search(OWNER, "zebra", limit=1)

    assert wrong == found[part][2]
    assert "hoshikage memory rebuild" in advised
    assert (4, 4, 0) == rebuilt["words"]
    assert SOUND == await results(store.verify())
    assert ["My zebra is called Mikan."] == [item.memory.text for item in words]


async def test_a_damaged_index_of_words_is_no_damaged_file(store_with):
    """A search says what to do, and after that everything works again, without a new start."""
    store = await store_with()
    spoil(store, "UPDATE term_data SET block = zeroblob(length(block)) WHERE id > 10")
    with pytest.raises(MemoryUnavailable, match="hoshikage memory rebuild"):
        await store.search(OWNER, "zebra", limit=1)
    await results(store.rebuild())

    assert 1 == len(await store.search(OWNER, "zebra", limit=1))


async def test_a_vector_of_another_size_spoils_no_search(store_with):
    """The others are found; this one by its words."""
    store = await store_with()
    spoil(store, "UPDATE vector SET numbers = x'00ff' WHERE memory = 2")

    assert 4 == len(await store.search(OWNER, "Mikan", limit=10))


async def test_rows_of_nobody_are_found(store_with):
    """Those cannot be mended: the advice is another."""
    store = await store_with()
    spoil(store, "PRAGMA foreign_keys = OFF", "UPDATE memory SET space = 99 WHERE number = 1")

    assert 1 == (await results(store.verify()))["file"][2]
    assert "restore a backup" in await advice(store.verify())


async def test_memories_that_wait_for_a_vector_are_not_wrong(store_with):
    """The advice says how many there are."""
    store = await store_with()
    await store._embedding.stop()
    await store.add(OWNER, "Later.")

    assert (4, 5, 0) == (await results(store.verify()))["vectors"]
    assert "1 get theirs in the background" in await advice(store.verify())


async def test_an_index_is_verified_and_made_anew(store_with, tmp_path):
    """A collection that hides something is told, and after a rebuild it is another one that hides nothing."""
    store = await store_with(index="chroma")
    await until(lambda: store._index._opened, limit_s=10)
    sound = await results(store.verify())
    ((name, opened),) = store._index._opened.items()
    opened.collection._collection.delete(ids=["2"])  # as Chroma loses records: nothing says so
    lost = await results(store.verify())
    await results(store.rebuild())
    found = await store.search(OWNER, "dog", limit=1)

    assert [(4, 4, 0), (4, 4, 1), (4, 4, 0)] == [
        sound["index"],
        lost["index"],
        (await results(store.verify()))["index"],
    ]
    assert opened.row.collection != store._index._opened[name].row.collection
    assert ["My dog is called Mikan."] == [item.memory.text for item in found]


async def test_recall_goes_through_the_index(store_with, tmp_path):
    """What is said and forgotten there is found, and gone from every file."""
    store = await store_with(index="chroma")
    await until(lambda: store._index._opened, limit_s=10)
    caller = Caller(key="k", memory=MemoryUse("on", "ann"))
    asked = ChatRequest("r", "m", (Message("user", "What is my zebra called?"),))
    recalled = [item.memory.text for item in (await store.recall(asked, caller)).items]
    await store.forget_all(OWNER)
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    vector = (await Letters().embed(["My zebra is called Mikan."], "document"))[0].astype(np.float16)
    needles = (b"zebra", b"Mikan", vector.tobytes(), vector.astype(np.float32).tobytes())

    assert "My zebra is called Mikan." in recalled
    assert [] == [file for file, content in files.items() for needle in needles if needle in content]
    assert [] == [entry for entry in (tmp_path / "index").iterdir() if entry.is_dir()]


async def test_forgetting_waits_for_the_look_at_a_part(store_with, tmp_path, monkeypatch):
    """As long as that reads, no byte can be taken out of the log. Who does not listen to the end holds up nobody."""
    store = await store_with()
    go_on, real = threading.Event(), checking.check_words

    def held(connection):
        with connection:  # as a long look does
            connection.execute("SELECT count(*) FROM memory").fetchall()
            yield MemoryCheck("words", 0, 4)
            go_on.wait(10)
        yield from real(connection)

    monkeypatch.setattr(checking, "check_words", held)
    steps = store.verify()
    while (await anext(steps)).part != "words":
        pass
    forgetting = asyncio.create_task(store.forget_all(OWNER))
    written = await store.add(OWNER, "This does not wait.")
    waited = not forgetting.done()
    go_on.set()
    forgotten = await forgetting
    await steps.aclose()

    assert (True, "This does not wait.", 5) == (waited, written.text, forgotten)
    assert [] == [file for file in tmp_path.rglob("*.sqlite3*") if b"zebra" in file.read_bytes()]


async def test_a_store_that_is_not_open_says_so(tmp_path):
    """There is nothing to look at."""
    with pytest.raises(MemoryUnavailable, match="not started"):
        await results(SqliteMemory(MemorySettings(), tmp_path).verify())
