"""Embedding over a real file: every memory gets its vector, whatever happens to the embedder or is put in its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hoshikage import Memory, Owner
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.embedding import backlog
from hoshikage.plugins.memory.embedding import work as module
from hoshikage.plugins.memory.embedding.work import Embedding
from hoshikage.plugins.memory.settings import MemorySettings
from hoshikage.plugins.memory.store import SqliteMemory
from tests.fakes import until
from tests.plugins.memory.topics import Topics

A, B = Owner("a"), Owner("b")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What failed is tried again at once."""
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def database(tmp_path: Path):
    found = Database.open(tmp_path / "m.sqlite3")
    found._connection.pragma("synchronous", "OFF")  # no test here pulls the plug
    yield found
    found.close()


@pytest.fixture
async def embedding_of(database):
    """Builds embeddings over the file, and starts them; all are stopped at the end."""
    built: list[Embedding] = []

    async def write(call):
        await asyncio.sleep(0)
        return call(database)

    async def build(embedder: Topics, *, start: bool = True) -> Embedding:
        opened: list[int] = []

        async def note() -> None:
            opened.append(built[-1].number)

        built.append(Embedding(embedder, write, note))
        if start:
            await built[-1].start()
        built[-1].opened = opened
        return built[-1]

    yield build
    for embedding in built:
        await embedding.stop()


def told(database: Database, *texts: str, owner: Owner = A) -> list[Memory]:
    return database.write(owner, [Memory("", text, 1.0, session=f"{n}") for n, text in enumerate(texts)])


def left(database: Database, embedding: Embedding) -> int:
    return database.vectors.missing(embedding.number) if embedding.number else -1


def identities(database: Database) -> list[str]:
    return database.vectors.others(0)


async def test_every_memory_gets_its_vector(database, embedding_of):
    """The newest first, those from before the start and those from after it."""
    told(database, *(f"text {n}" for n in range(100)))
    topics = Topics()
    embedding = await embedding_of(topics)
    await until(lambda: left(database, embedding) == 0)
    told(database, "a cat", owner=B)
    embedding.wake()
    await until(lambda: left(database, embedding) == 0)

    assert ["text 99", "text 98"] == topics.texts[:2]
    assert "a cat" == topics.texts[-1]
    assert 101 == len(topics.texts)


async def test_equal_texts_are_computed_once(database, embedding_of):
    """In one batch and in those after it, whoever said them."""
    told(database, *["Thank you"] * 5, *["long " * 50] * 5)
    topics = Topics()
    embedding = await embedding_of(topics)
    await until(lambda: left(database, embedding) == 0)
    told(database, "Thank you", owner=B)
    embedding.wake()
    await until(lambda: left(database, embedding) == 0)

    assert {"Thank you", "long " * 50} == set(topics.texts)
    assert 2 == len(topics.texts)


async def test_what_is_forgotten_is_in_no_cache(database, embedding_of):
    """Not even if it was being computed when it was forgotten."""
    topics = Topics()
    embedding = await embedding_of(topics)
    (memory,) = told(database, "My cat is ill")
    topics.go_on.clear()
    embedding.wake()
    await until(lambda: topics.calls)
    database.forget(A, memory.id)
    embedding.forget()
    topics.go_on.set()
    await until(lambda: topics.texts)
    asked = await embedding.vector_of(A, "cat?", limit_s=None)
    before = len(embedding._cache)
    embedding.forget()

    assert asked is not None
    assert (1, 0) == (before, len(embedding._cache))


async def test_a_question_is_known_to_its_owner_alone(embedding_of):
    """How fast an answer comes tells nobody what another one asked."""
    topics = Topics()
    embedding = await embedding_of(topics)
    for owner in (A, A, B):
        await embedding.vector_of(owner, "Which pets?", limit_s=None)

    assert ["Which pets?"] * 2 == topics.texts


async def test_a_cache_is_bounded(embedding_of, monkeypatch):
    """The least recently used go."""
    monkeypatch.setattr("hoshikage.plugins.memory.embedding.cache.MOST", 2)
    topics = Topics()
    embedding = await embedding_of(topics)
    for question in ("one", "two", "one", "three", "one", "two"):
        await embedding.vector_of(A, question, limit_s=None)

    assert ["one", "two", "three", "two"] == topics.texts


# --- an embedder that does not work ---


async def test_an_embedder_that_cannot_start_is_asked_again(database, embedding_of):
    """Its model may come later; the log tells of it once."""
    told(database, "a cat")
    topics = Topics()
    topics.missing = "there is no model"
    with capture_logs() as logs:
        embedding = await embedding_of(topics)
        await asyncio.sleep(0.05)
        nothing = await embedding.vector_of(A, "pets?", limit_s=None)
        topics.missing = ""
        await until(lambda: left(database, embedding) == 0)

    assert (None, [embedding.number]) == (nothing, embedding.opened)
    assert ["there is no model"] == [row["reason"] for row in logs if row["event"] == "memories_by_words_alone"]


@pytest.mark.parametrize("made", [2, 4])
async def test_vectors_of_another_length_are_refused(database, embedding_of, made):
    """Nothing of them is kept, the log says what to do, and it is tried again."""
    told(database, "a cat")
    topics = Topics()
    topics.made_dimensions = made
    with capture_logs() as logs:
        embedding = await embedding_of(topics)
        await until(lambda: logs[-1]["event"] == "memories_by_words_alone")
    before = database.vectors.count(embedding.number)
    topics.made_dimensions = 3
    await until(lambda: left(database, embedding) == 0)

    assert 0 == before
    assert f"(1, {made}) instead of (1, 3)" in logs[-1]["reason"]
    assert "memory.embedder" in logs[-1]["reason"]


async def test_a_length_that_changes_under_one_name_mixes_nothing(database, embedding_of):
    """Then all memories are embedded again, as for another embedder."""
    told(database, "a cat", "a sky")
    first = await embedding_of(Topics())
    await until(lambda: left(database, first) == 0)
    await first.stop()
    second = await embedding_of(Topics(dimensions=5))
    await until(lambda: identities(database) == ["topics 1 (5 numbers)"])

    assert {10} == {len(blob) for _, blob in database.vectors_after(A, second.number, 0)}
    assert first.number != second.number


async def test_a_text_that_it_fails_at_holds_up_no_other(database, embedding_of):
    """That one is found by its words; until it is corrected, it is not tried again."""
    told(database, "a dog", "too much", "a cat")
    topics = Topics()
    topics.refused = "too much"
    with capture_logs() as logs:
        embedding = await embedding_of(topics)
        await until(lambda: left(database, embedding) == 1)
        await until(lambda: embedding._news.is_set() is False and topics.calls[-1] != ["too much"])
        calls = len(topics.calls)
        told(database, "a pet", owner=B)
        embedding.wake()
        await until(lambda: "a pet" in topics.texts)

    assert 1 == len([row for row in logs if row["event"] == "memory_not_embedded"])
    assert calls + 1 == len(topics.calls)


async def test_a_bug_of_an_embedder_is_a_failure_like_others(database, embedding_of):
    """Whatever it raises, and wherever: words go on, and it is asked again."""
    told(database, "a cat")
    topics = Topics()
    topics.error = ZeroDivisionError("a bug")
    with capture_logs() as logs:
        embedding = await embedding_of(topics)
        await until(lambda: logs[-1]["event"] == "memories_by_words_alone")
        nothing = await embedding.vector_of(A, "pets?", limit_s=None)
    topics.error = None
    await until(lambda: left(database, embedding) == 0)

    assert "the embedder 'topics' failed: ZeroDivisionError: a bug" in [row.get("reason") for row in logs]
    assert nothing is None


# --- another embedder ---


async def test_another_embedder_embeds_all_again_and_the_old_vectors_go(database, embedding_of):
    """Once every memory has a new one, and not before."""
    written = told(database, *(f"text {n}" for n in range(40)))
    first = await embedding_of(Topics())
    await until(lambda: left(database, first) == 0)
    await first.stop()
    topics = Topics(2)
    topics.go_on.clear()
    with capture_logs() as logs:
        second = await embedding_of(topics)
        await until(lambda: topics.calls)
        meanwhile = database.vectors.count(first.number)
        topics.go_on.set()
        await until(lambda: logs[-1]["event"] == "old_vectors_deleted")

    assert ["topics 2 (3 numbers)"] == identities(database)
    assert (40, 0, 40) == (meanwhile, database.vectors.count(first.number), database.vectors.count(second.number))
    assert ["embedder_chosen", "memories_are_embedded_again", "old_vectors_deleted"] == [row["event"] for row in logs]
    assert (["topics 1 (3 numbers)"], 40) == (logs[1]["instead_of"], logs[1]["memories"])
    assert [] == database.unembedded(second.number, limit=len(written))


async def test_it_goes_on_where_it_was(database, embedding_of):
    """After a stop in the middle, only what is missing is embedded."""
    told(database, *(f"{'text ' * 40}{n}" for n in range(20)))
    topics = Topics(2)
    embedding = await embedding_of(topics)
    await until(lambda: len(topics.texts) >= 6)
    await embedding.stop()
    done = database.vectors.count(embedding.number)
    later = Topics(2)
    embedding = await embedding_of(later)
    await until(lambda: left(database, embedding) == 0)

    assert 0 < done < 20
    assert 20 - done == len(later.texts)


async def test_a_long_backlog_says_how_far_it_is(database, embedding_of, monkeypatch):
    """Every so often, how many are done and how many are left."""
    monkeypatch.setattr(backlog, "PROGRESS_S", 0.0)
    told(database, *(f"{'text ' * 40}{n}" for n in range(6)))
    with capture_logs() as logs:
        embedding = await embedding_of(Topics())
        await until(lambda: left(database, embedding) == 0)
        await asyncio.sleep(0.01)
    said = [(row["done"], row["to_do"]) for row in logs if row["event"] == "memories_being_embedded"]

    assert (2, 4) == said[0]
    assert (2, 0) == said[-1]


# --- in the store ---


async def test_the_store_says_how_far_it_is(tmp_path):
    """For an owner and for all; while it goes on, what has no vector yet is found by its words."""
    topics = Topics()
    store = SqliteMemory(MemorySettings(), tmp_path, [topics])
    await store.start()
    await store.add(A, "Mikan the cat sleeps.")
    await store.add(B, "The office is in Osaka.")
    await until(lambda: {"Mikan the cat sleeps.", "The office is in Osaka."} <= set(topics.texts))
    await store._write(lambda _: None)  # the vectors are written after that
    topics.go_on.clear()
    await store.add(A, "The dog Pochi barks at noon.")
    mine, all_ = await store.stats(A), await store.stats()
    topics.go_on.set()
    found = await store.search(A, "When does Pochi bark at noon?", limit=1)
    await store.stop()

    assert ("topics 1", 1, 2) == (mine.embedder, mine.embedded, mine.memories)
    assert (2, 3) == (all_.embedded, all_.memories)
    assert "The dog Pochi barks at noon." == found[0].memory.text
