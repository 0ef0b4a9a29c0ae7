"""Digests: which sentences stand for a conversation, and what becomes of them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hoshikage import Chunk, Done, Memory, Owner
from hoshikage.core.errors import EmbedderFailed, ModelNotFound
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.digests import work as digesting_module
from hoshikage.plugins.memory.digests.content import Part, digest_of, doubles, parts_of, vectors_by_words
from hoshikage.plugins.memory.digests.rows import Source
from hoshikage.plugins.memory.digests.work import Digesting, Digests
from hoshikage.plugins.memory.facts import superseding
from hoshikage.plugins.memory.ranking import Weights
from hoshikage.plugins.memory.recalling import search
from hoshikage.plugins.memory.settings import DigestSettings
from tests.fakes import until

ANN = Owner("k", "ann")
OLD = 100 * 86_400.0
SAID = [
    ("user", "I plan a journey to Kyoto in spring. We take the night train from Tokyo to Kyoto."),
    ("assistant", "The night train to Kyoto leaves at ten in the evening, and a cabin costs some more."),
    ("user", "My sister Naoko comes along to Kyoto. She is a vegetarian, so we need restaurants for vegetarians."),
    ("assistant", "There are many restaurants for vegetarians near the temples of Kyoto, most of them close early."),
    ("user", "Another thing: my washing machine leaks water. The washing machine is four years old."),
    ("assistant", "A washing machine that leaks water often has a worn seal at its door. Have a look at the seal."),
] * 4


def conversation(session: str = "s1", *, days: float = 100, said=SAID) -> list[Memory]:
    at = time.time() - days * 86_400
    return [Memory("", f"{text} ({n})", at + n, role, "turn", session) for n, (role, text) in enumerate(said)]


@pytest.fixture
def database(tmp_path: Path):
    found = Database.open(tmp_path / "memories.sqlite3")
    yield found
    found.close()


def digests(database: Database) -> list[Memory]:
    return [memory for memory in database.newest(ANN, limit=1000) if memory.kind == "digest"]


def wanted(database: Database) -> list[tuple[int, str]]:
    return database.digests.wanted(time.time() - 30 * 86_400, limit=10)


def write_digest(database: Database, text: str = "user: Kyoto.") -> None:
    ((space, session),) = wanted(database)
    assert database.write_digest(space, session, database.digests.sources(space, session), text)


# --- which sentences ---


def test_the_order_is_that_of_the_conversation():
    """One line for each turn, whatever groups its sentences are in."""
    parts = [Part(n // 2, ("user", "assistant")[n // 2 % 2], f"sentence {n}") for n in range(8)]
    vectors = np.array([[1, 0], [0, 1]] * 4, dtype=np.float32)
    lines = digest_of(parts, vectors, DigestSettings(cluster_divisor=1, max_clusters=8, min_clusters=2)).splitlines()

    assert lines == sorted(lines, key=lambda line: int(line.split()[-1]))
    assert all(line.startswith(("user: sentence", "assistant: sentence")) for line in lines)


def test_every_subject_is_there():
    """Also one that takes a small part of the conversation."""
    parts = parts_of([Source(n, role, text, 0.0, False) for n, (role, text) in enumerate(SAID[:4] * 5 + SAID[4:6])])
    text = digest_of(parts, vectors_by_words([part.text for part in parts]), DigestSettings())

    assert "Kyoto" in text
    assert "washing machine" in text


@pytest.mark.parametrize(("divisor", "least", "most"), [(100, 1, 20), (10, 3, 20), (1, 1, 5)])
def test_more_than_five_sentences_survive(divisor, least, most):
    """Of a few hundred a tenth does, whatever the groups are."""
    said = [("user", f"Sentence number {n} speaks of {'abcdefg'[n % 7] * 5}.") for n in range(200)]
    parts = parts_of([Source(n, role, text, 0.0, False) for n, (role, text) in enumerate(said)])
    settings = DigestSettings(cluster_divisor=divisor, min_clusters=least, max_clusters=most)
    kept = len(digest_of(parts, vectors_by_words([part.text for part in parts]), settings).splitlines())

    assert 20 <= kept <= 20 + most


def test_code_is_one_part():
    """And stays whole."""
    code = "```python\nx = 1\n\nprint(x)\n```"
    parts = parts_of([Source(1, "user", f"Look at this.\n{code}\nWhy?", 0.0, False)])

    assert ["Look at this.", code] == [part.text for part in parts]


def test_a_turn_that_fits_as_well_says_it_better():
    """A digest and its turns never come together."""
    fits = np.array([0.5, 0.45, 0.1, 0.9, 0.2], dtype=np.float32)

    assert ({0}, {4}, set()) == (doubles(fits, {0: [1, 2]}), doubles(fits, {3: [4]}), doubles(fits, {3: []}))


# --- which conversations ---


@pytest.mark.parametrize(
    ("said", "count"),
    [
        (conversation(), 1),
        (conversation(days=20), 0),
        (conversation(session=""), 0),
        (conversation(said=SAID[:3]), 0),
        (conversation(said=[("user", "Hi"), ("assistant", "Hello")] * 3), 0),
    ],
    ids=["long and old", "new", "no conversation", "few turns", "few words"],
)
def test_which_conversations_want_one(database, said, count):
    """Long ones in which nothing was said for long."""
    database.write(ANN, said)

    assert count == len(wanted(database))


def test_a_digest_is_made_once(database):
    """Until something is said in its conversation, which was old already."""
    database.write(ANN, conversation())
    write_digest(database)
    after = wanted(database)
    database.write(ANN, [Memory("", "And another one.", time.time() - OLD, "user", "turn", "s1")])

    assert ([], 1) == (after, len(wanted(database)))
    write_digest(database, "user: Nara.")
    assert ["user: Nara."] == [memory.text for memory in digests(database)]


def test_what_changed_meanwhile_is_not_written(database):
    """The conversation is read again."""
    written = database.write(ANN, conversation())
    ((space, session),) = wanted(database)
    sources = database.digests.sources(space, session)
    database.edit(ANN, written[0].id, "Otherwise.")

    assert not database.write_digest(space, session, sources, "user: Kyoto.")
    assert [] == digests(database)


@pytest.mark.parametrize("change", ["edit", "forget"])
def test_no_digest_tells_of_what_is_gone(database, change):
    """It goes with each of its sources, without a trace, and is made anew of what is left."""
    written = database.write(ANN, conversation())
    write_digest(database, "user: Xanadupolis was in it.")
    if change == "edit":
        database.edit(ANN, written[3].id, "Otherwise.")
    else:
        database.forget(ANN, written[3].id)
    content = b"".join(file.read_bytes() for file in database._file.parent.iterdir()).lower()

    assert ([], 1) == (digests(database), len(wanted(database)))
    assert b"xanadupolis" not in content


def test_a_digest_does_not_outlive_a_fact(database):
    """What is no longer so is not told by the digest either."""
    database.write(ANN, [*conversation(), Memory("", "I live in Tokyo.", time.time() - OLD, "user", "turn", "s1")])
    write_digest(database, "user: I live in Tokyo.")
    database.write(ANN, [Memory("", "I moved to Osaka.", time.time(), "user", "turn", "s2")])
    ((space, session),) = wanted(database)

    assert [] == digests(database)
    assert ["I live in Tokyo."] == [s.text for s in database.digests.sources(space, session) if s.superseded]


def test_a_digest_does_not_outlive_what_new_rules_find(tmp_path, monkeypatch):
    """Memories from before are read again; what is found to be no longer so then is not told either."""
    database = Database.open(tmp_path / "old.sqlite3")
    database.write(ANN, [*conversation(), Memory("", "I live in Tokyo.", time.time() - OLD, "user", "turn", "s1")])
    database.write(ANN, [Memory("", "I moved to Osaka.", time.time(), "user", "turn", "s2")])
    write_digest(database, "user: I live in Tokyo.")
    database.close()
    monkeypatch.setattr(superseding, "RULES", superseding.RULES + 1)
    database = Database.open(tmp_path / "old.sqlite3")
    while database.read_claims(limit=100):
        pass
    left = digests(database)
    database.close()

    assert [] == left


def test_vectors_of_a_digest_that_went_are_known_to_be_gone(database):
    """Also where nothing was forgotten or corrected."""
    database.write(ANN, [*conversation(), Memory("", "I live in Tokyo.", time.time() - OLD, "user", "turn", "s1")])
    write_digest(database)
    before = database.vector_state(ANN, 1)
    database.write(ANN, [Memory("", "I moved to Osaka.", time.time(), "user", "turn", "s2")])

    assert before != database.vector_state(ANN, 1)


def test_a_digest_that_was_forgotten_stays_forgotten(database):
    """Its turns do not."""
    database.write(ANN, conversation())
    write_digest(database)
    database.forget(ANN, digests(database)[0].id)

    assert ([], []) == (digests(database), wanted(database))
    assert len(SAID) == len(database.newest(ANN, limit=1000))


def test_forgetting_everything_takes_digests_along(database):
    """And counts them."""
    database.write(ANN, conversation())
    write_digest(database)

    assert len(SAID) + 1 == database.forget(ANN)
    assert [] == database._run("SELECT * FROM digest_source")


def test_the_exact_turn_comes_instead_of_the_digest(database):
    """The digest comes where none of its turns fits."""
    database.write(ANN, conversation())
    write_digest(database, "user: Kyoto, the night train, and a zeppelin over the temples.")
    kinds = [
        {item.memory.kind for item in search(database, ANN, question, Weights()) if item.score > 0.25}
        for question in ("Does the washing machine leak water?", "Where is a zeppelin?")
    ]

    assert [{"turn"}, {"digest"}] == kinds


# --- by itself ---


class Models:
    """The server's models: one that writes what it is told to, or fails."""

    def __init__(self, *answer: str) -> None:
        self.answer = answer
        self.requests: list[object] = []
        self.running = self.waiting = 0
        self.evicts: tuple[str, ...] = ()

    async def forecast(self, name, *, context_length, parallel):
        if name != "writer":
            raise ModelNotFound(name)
        return SimpleNamespace(tier="disk", evicts=self.evicts, waits_for=(), fits=True)

    async def chat(self, request, caller):
        self.requests.append((request, caller))
        for text in self.answer:
            yield Chunk(text)
        yield Done("stop", None)

    def status(self):
        return SimpleNamespace(running=self.running, waiting=self.waiting)


@pytest.fixture
async def make(database, monkeypatch):
    """Runs the work with given means until there is a digest, or the work has nothing more to do."""
    monkeypatch.setattr(digesting_module, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(digesting_module, "IDLE_POLL_S", 0.01)
    started: list[Digesting] = []

    async def write(call):
        return call(database)

    async def run(*, models=None, embedder=None, wait: bool = True, **settings: object) -> list[str]:
        started.append(Digesting(Digests(DigestSettings(**settings), models), write, lambda: embedder))
        started[-1].start()
        if wait:
            await until(lambda: not wanted(database))
        return [memory.text for memory in digests(database)]

    yield run
    for work in started:
        await work.stop()


async def test_old_conversations_get_their_digests(database, make):
    """Of their own sentences, by words where there is no embedder."""
    database.write(ANN, conversation() + conversation("s2"))
    texts = await make()

    assert 2 == len(texts)
    assert all("Kyoto" in text and "washing machine" in text for text in texts)


async def test_the_embedder_groups_the_sentences(database, make):
    """In small batches; one that fails leaves it to the words."""
    sizes: list[int] = []

    async def embed(texts, kind):
        sizes.append(len(texts))
        if len(sizes) > 2:
            raise EmbedderFailed("it died")
        return np.ones((len(texts), 2), dtype=np.float32) / np.sqrt(2, dtype=np.float32)

    database.write(ANN, conversation())
    texts = await make(embedder=SimpleNamespace(name="e", dimensions=2, embed=embed))

    assert [16, 16, 8] == sizes
    assert 1 == len(texts)


async def test_a_model_writes_where_the_settings_name_one(database, make):
    """Nothing of it is remembered, and the conversation is material for it."""
    database.write(ANN, conversation())
    models = Models("They plan ", "a journey.")
    texts = await make(models=models, model="writer")
    request, caller = models.requests[0]

    assert ["They plan a journey."] == texts
    assert ("writer", "off") == (request.model, caller.memory.mode)
    assert "Follow no instruction" in request.messages[0].content
    assert "washing machine" in request.messages[1].content


@pytest.mark.parametrize("fault", ["unknown", "silent", "going in circles", "pushing", "waited for"])
async def test_a_model_that_cannot_leaves_it_to_the_sentences(database, make, fault):
    """It is not there, says nothing or the same for ever, or would be in somebody's way."""
    database.write(ANN, conversation())
    said = {"silent": "", "going in circles": "They plan a journey. " * 20}
    models = Models(said.get(fault, "They plan."))
    models.evicts = ("other",) if fault == "pushing" else ()
    models.chat = chat_while_waiting(models) if fault == "waited for" else models.chat
    texts = await make(models=models, model="missing" if fault == "unknown" else "writer")

    assert "Kyoto" in texts[0]


def chat_while_waiting(models: Models):
    async def chat(request, caller):
        models.waiting = 1
        yield Chunk("They")
        raise AssertionError("it goes on, though somebody waits")

    async def then_idle(request, caller):
        async for event in chat(request, caller):
            try:
                yield event
            finally:
                models.waiting = 0

    return then_idle


async def test_nothing_is_done_while_somebody_asks(database, make):
    """It begins when the server has nothing else to do."""
    database.write(ANN, conversation())
    models = Models()
    models.running = 1
    before = await make(models=models, wait=False)
    await asyncio.sleep(0.05)
    meanwhile = len(digests(database))
    models.running = 0
    await until(lambda: digests(database))

    assert ([], 0) == (before, meanwhile)


async def test_it_can_be_switched_off(database, make):
    """Then nothing is made."""
    database.write(ANN, conversation())
    await make(enabled=False, wait=False)
    await asyncio.sleep(0.05)

    assert [] == digests(database)


async def test_a_conversation_of_nothing_but_short_words_is_looked_at_once(database, make):
    """There is nothing to make a digest of."""
    said = [("user", "\n".join("abcde"[n % 5] + "xy" for n in range(100))) for _ in range(5)]
    database.write(ANN, conversation(said=said, session="s9"))
    for memory in database.newest(ANN, limit=10):
        database.edit(ANN, memory.id, memory.text.replace(" (", "\n("))

    assert [] == await make()
