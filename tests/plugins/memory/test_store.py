"""The store over a real file: recall within its bounds, writing, and what it refuses."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from hoshikage import Caller, ChatRequest, Memory, MemoryUse, Message, Owner, Receipt
from hoshikage.core.errors import EmbedderFailed, InvalidRequest, MemoryUnavailable
from hoshikage.plugins.memory import store as store_module
from hoshikage.plugins.memory.block import tokens_of
from hoshikage.plugins.memory.database import Database
from hoshikage.plugins.memory.embedding import work as embedding_module
from hoshikage.plugins.memory.facts import superseding
from hoshikage.plugins.memory.recalling import choose
from hoshikage.plugins.memory.settings import MemorySettings
from hoshikage.plugins.memory.store import SqliteMemory
from tests.fakes import until
from tests.plugins.memory.topics import Topics

CALLER = Caller(key="k", memory=MemoryUse("on", "ann"))
OWNER = Owner("k", "ann")
RECEIPT = Receipt("r1", "m", CALLER, "done", 100.0, 0.0, 0.0, 1.0)


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
async def store_with(tmp_path: Path):
    """Builds stores; all are stopped at the end."""
    built: list[SqliteMemory] = []

    async def build(folder: Path = tmp_path, *, embedder: Topics | None = None, **settings: object) -> SqliteMemory:
        built.append(SqliteMemory(MemorySettings(**settings), folder, [embedder] if embedder else []))
        await built[-1].start()
        return built[-1]

    yield build
    for store in built:
        await store.stop()


def asking(*texts: str) -> ChatRequest:
    """A conversation of the user and the assistant in turn, which ends with the user."""
    roles = ("user", "assistant")
    return ChatRequest("r2", "m", tuple(Message(roles[n % 2], text) for n, text in enumerate(texts)))


async def told(store: SqliteMemory, *texts: str) -> None:
    await store.take(OWNER, [Memory("", text, float(n), "user", "turn", f"s{n}") for n, text in enumerate(texts)])


async def test_a_turn_is_written_as_it_was_said(store_with):
    """The newest message of the user and the answer, with time, request and session."""
    store = await store_with()
    await store.remember(asking("Hi", "Hello", "My cat is Mikan"), "How nice", RECEIPT)
    found = await store.newest(OWNER, limit=10)

    assert [("assistant", "How nice"), ("user", "My cat is Mikan")] == [(m.role, m.text) for m in found]
    assert {(100.0, "r2", "turn")} == {(m.said_at, m.request_id, m.kind) for m in found}
    assert 1 == len({m.session for m in found})


async def test_a_block_that_is_repeated_is_not_remembered_again(store_with):
    """Neither where a model repeats its prompt, nor where somebody pastes such an answer: it was said before."""
    store = await store_with()
    await told(store, "My cat is Mikan")
    block = (await store.recall(asking("Who is my cat?"), CALLER)).text
    await store.remember(asking(f"You said {block}"), f"{block}\n\nWho is my cat?", RECEIPT)
    await store.remember(asking(block), block, RECEIPT)
    found = await store.newest(OWNER, limit=10)

    assert "Mikan" in block
    assert ["Who is my cat?", "You said", "My cat is Mikan"] == [memory.text for memory in found]


async def test_a_conversation_is_one_session(store_with):
    """Its beginning tells it, where the client gives no name; a name wins."""
    store = await store_with()
    await store.remember(asking("Hi"), "Hello", RECEIPT)
    await store.remember(asking("Hi", "Hello", "My cat is Mikan"), "Nice", RECEIPT)
    named = replace(CALLER, memory=replace(CALLER.memory, session="mine"))
    await store.remember(asking("Hi"), "Hello again", replace(RECEIPT, caller=named))
    sessions = {m.text: m.session for m in await store.newest(OWNER, limit=10)}

    assert sessions["Hello"] == sessions["Nice"] != sessions["Hello again"] == "mine"


async def test_recall_finds_what_fits(store_with):
    """And not what does not."""
    store = await store_with()
    await told(store, "My cat is called Mikan.", "The weather is fine.", "I work in Osaka.")
    recall = await store.recall(asking("What is the name of my cat?"), CALLER)

    assert ["My cat is called Mikan."] == [item.memory.text for item in recall.items]
    assert "Mikan" in recall.text


@pytest.mark.parametrize("question", ["What is the capital of Peru?", "ペルーの首都はどこですか", "", "?!"])
async def test_what_was_never_said_recalls_nothing(store_with, question):
    """Then the prompt stays as it was."""
    store = await store_with()
    await told(store, "My cat is called Mikan.", "うちの猫は蜜柑という名前です。")
    recall = await store.recall(asking(question), CALLER)

    assert ("", ()) == (recall.text, recall.items)


async def test_an_answer_comes_back_with_what_was_asked(store_with):
    """It need not share a word with the question of today; what stands elsewhere must."""
    store = await store_with()
    turns = [("What does Mikan eat?", "s1", "user"), ("Only tuna.", "s1", "assistant"), ("Only rice.", "s2", "user")]
    await store.take(OWNER, [Memory("", text, 1.0, role, "turn", session) for text, session, role in turns])
    recall = await store.recall(asking("Tell me what Mikan eats"), CALLER)

    assert {"What does Mikan eat?", "Only tuna."} == {item.memory.text for item in recall.items}


async def test_what_stands_in_the_prompt_is_not_repeated(store_with):
    """Within one conversation the turns before are there already."""
    store = await store_with()
    await told(store, "My cat is called Mikan.", "Mikan the cat likes fish.")
    recall = await store.recall(asking("My cat is called Mikan.", "Nice", "What does my cat Mikan like?"), CALLER)

    assert ["Mikan the cat likes fish."] == [item.memory.text for item in recall.items]


@pytest.mark.parametrize(("settings", "count"), [({"max_items": 3}, 3), ({"max_tokens": 40}, 2), ({}, 10)])
async def test_the_bounds_hold(store_with, settings, count):
    """So many memories, and so many tokens."""
    store = await store_with(**settings)
    await told(store, *(f"My cat number {n} likes fish." for n in range(20)))
    recall = await store.recall(asking("What does my cat like?"), CALLER)

    assert count == len(recall.items)


async def test_duplicates_come_back_once(store_with):
    """What was said in many conversations takes one line."""
    store = await store_with()
    await told(store, *["My cat is called Mikan."] * 5)
    recall = await store.recall(asking("What is my cat called?"), CALLER)

    assert 1 == len(recall.items)


@pytest.mark.parametrize("text", ["", "  \n", "x" * 101, "a\ud800b"])
async def test_what_cannot_be_kept_is_refused(store_with, text):
    """It says why; nothing is written."""
    store = await store_with(max_text_chars=100)
    with pytest.raises(InvalidRequest):
        await store.add(OWNER, text)
    with pytest.raises(InvalidRequest):
        await store.take(OWNER, [Memory("", "fine", 1.0), Memory("", text, 1.0)])

    assert [] == await store.newest(OWNER, limit=10)


async def test_a_book_as_a_question_holds_up_nobody(store_with):
    """Its end is what is asked; the rest costs nothing."""
    store = await store_with(recall_limit_s=5.0)
    await told(store, "My cat is called Mikan.")
    book = " ".join(f"word{n} 語{chr(0x4E00 + n % 20_000)}" for n in range(100_000))
    started = time.process_time()
    recall = await store.recall(asking(f"{book} What is my cat called?"), CALLER)

    assert time.process_time() - started < 1.0
    assert [] == [item for item in recall.items if item.memory.text != "My cat is called Mikan."]


async def test_long_memories_hold_up_nobody_else(store_with, monkeypatch):
    """What is recalled is chosen beside the loop, since that may have megabytes to look at."""
    store = await store_with(recall_limit_s=5.0)
    await told(store, "My cat is called Mikan.")
    threads = []

    def watched(*values: object, **more: object) -> object:
        threads.append(threading.current_thread())
        return choose(*values, **more)

    monkeypatch.setattr(store_module, "choose", watched)
    recall = await store.recall(asking("What is my cat called?"), CALLER)

    assert ["My cat is called Mikan."] == [item.memory.text for item in recall.items]
    assert threads != [threading.main_thread()]


async def test_a_slow_recall_is_given_up(store_with, monkeypatch):
    """Nobody waits longer than the settings say."""
    store = await store_with(recall_limit_s=0.01)
    go_on = asyncio.Event()

    async def never(*_: object) -> None:
        await go_on.wait()

    monkeypatch.setattr(store, "_read", never)
    with pytest.raises(MemoryUnavailable, match=r"longer than the 0\.01 s of memory\.recall_limit_s"):
        await store.recall(asking("cat?"), CALLER)


async def test_a_store_that_cannot_be_opened_says_so(store_with, tmp_path):
    """The server starts all the same."""
    (tmp_path / "no folder").write_text("a file")
    store = await store_with(tmp_path / "no folder")

    with pytest.raises(MemoryUnavailable, match="cannot be opened"):
        await store.newest(OWNER, limit=1)


async def test_export_is_everything_in_its_order(store_with):
    """Page by page, the oldest first."""
    store = await store_with()
    await told(store, *(f"text {n}" for n in range(1200)))

    assert [f"text {n}" for n in range(1200)] == [memory.text async for memory in store.export(OWNER)]


async def test_stats(store_with):
    """Of one owner, and of all."""
    store = await store_with()
    await told(store, "abc", "de")
    await store.add(Owner("other"), "f")
    mine, everything = await store.stats(OWNER), await store.stats()

    assert ((2, 5, 1), (3, 6, 2)) == tuple((s.memories, s.characters, s.owners) for s in (mine, everything))
    assert everything.bytes_on_disk > 0


@pytest.mark.parametrize("how", ["cancelled", "log not emptied"])
async def test_a_deletion_is_done_to_its_end(store_with, topics, monkeypatch, how):
    """No vector of what is gone stays at hand, whether the client goes or the log cannot be emptied."""
    store = await store_with(embedder=topics)
    note = await store.add(OWNER, "My cat is called Mikan")
    embedding = store._embedding
    await until(lambda: len(embedding._cache) > 0)
    if how == "cancelled":
        deletion = asyncio.create_task(store.forget(OWNER, note.id))
        await asyncio.sleep(0)
        deletion.cancel()
        await asyncio.gather(deletion, return_exceptions=True)
    else:
        monkeypatch.setattr(Database, "empty_log", busy)
        with pytest.raises(MemoryUnavailable):
            await store.forget(OWNER, note.id)

    await until(lambda: len(embedding._cache) == 0)
    assert [] == await store.newest(OWNER, limit=10)


def busy(_: Database) -> None:
    raise apsw.BusyError("somebody reads")


# --- meaning ---


async def embedded(store: SqliteMemory, topics: Topics, *texts: str) -> None:
    await told(store, *texts)
    await until(lambda: set(texts) <= set(topics.texts) and store._embedding.ready)
    await store._write(lambda _: None)  # the vectors are written after that


async def test_what_is_meant_is_found_without_a_common_word(store_with, topics):
    """And what is about something else is not."""
    store = await store_with(embedder=topics)
    await embedded(store, topics, "Mikan the cat sleeps.", "The office is in Osaka.", "The sky is blue.")
    recall = await store.recall(asking("Which pets are there?"), CALLER)

    assert ["Mikan the cat sleeps."] == [item.memory.text for item in recall.items]
    assert {"meaning": 1.0, "cosine": 1.0}.items() <= recall.items[0].why.items()


async def test_a_chat_does_not_wait_for_the_embedder_to_load(store_with, topics):
    """Until it has answered once, words alone are looked at; a search waits."""
    first = await store_with(embedder=topics)
    await embedded(first, topics, "Mikan the cat sleeps.")
    await first.stop()
    store, question = await store_with(embedder=topics), asking("Which pets are there?")
    before = await store.recall(question, CALLER)
    await until(lambda: store._embedding.ready)
    after = await store.recall(question, CALLER)

    assert (0, 1) == (len(before.items), len(after.items))


async def test_a_slow_embedder_leaves_the_words(store_with, topics):
    """What shares a word is found in time; the log says so once, until the embedder keeps up again."""
    store = await store_with(embedder=topics, recall_limit_s=0.2)
    await embedded(store, topics, "Mikan the cat sleeps.")
    topics.go_on.clear()
    with capture_logs() as logs:
        recall = await store.recall(asking("Where does the cat sleep?"), CALLER)
        await store.recall(asking("And when does the cat sleep?"), CALLER)
    topics.go_on.set()

    assert ["Mikan the cat sleeps."] == [item.memory.text for item in recall.items]
    assert ["info", "debug"] == [line["log_level"] for line in logs if line["event"] == "recall_by_words_alone"]


async def test_an_embedder_that_fails_is_asked_again(store_with, topics, monkeypatch):
    """Nothing is lost meanwhile; once it works, everything gets its vector."""
    monkeypatch.setattr(embedding_module, "FIRST_WAIT_S", 0.01)
    topics.error = EmbedderFailed("it died")
    store = await store_with(embedder=topics)
    await told(store, "Mikan the cat sleeps.")
    words = await store.search(OWNER, "cat", limit=5)
    topics.error = None
    await until(lambda: topics.texts)

    assert 1 == len(words)


# --- time ---


def days_ago(days: float) -> float:
    return time.time() - days * 86_400


async def test_when_only_a_time_is_asked_for_all_that_was_said_then_is_an_answer(store_with):
    """And nothing of another time, whatever words it shares."""
    store = await store_with()
    said = [("I painted the fence.", 1), ("I did nothing.", 40), ("What did I do yesterday?", 60), ("Hello!", 0.0)]
    await store.take(OWNER, [Memory("", text, days_ago(ago), "user", "turn", text) for text, ago in said])
    recall = await store.recall(asking("What did I do yesterday?"), CALLER)

    assert ["I painted the fence."] == [item.memory.text for item in recall.items]
    assert {"time": 1.0}.items() <= recall.items[0].why.items()


async def test_conversations_of_a_time_take_turns(store_with):
    """A long one does not hide the short ones."""
    store = await store_with(max_items=3)
    long = [Memory("", f"A word{'s' * n}.", days_ago(32), "user", "turn", "long") for n in range(60)]
    short = [
        Memory("", text, days_ago(33 + n), "user", "turn", f"s{n}") for n, text in enumerate(("A walk.", "A swim."))
    ]
    await store.take(OWNER, long + short)
    recall = await store.recall(asking("何をした? 1か月前"), CALLER)

    assert {"A word.", "A walk.", "A swim."} == {item.memory.text for item in recall.items}


@pytest.mark.parametrize(
    ("question", "first"), [("What did I eat yesterday?", "noodles"), ("What did I eat?", "I eat rice")]
)
async def test_a_time_in_the_question_lifts_what_is_from_it(store_with, question, first):
    """Beside the words; without it they alone decide."""
    store = await store_with()
    said = [("I eat rice, eat, eat.", 20), ("Today I had to eat noodles with much chilli.", 1), ("I slept.", 1)]
    await store.take(OWNER, [Memory("", text, days_ago(ago), "user", "turn", text) for text, ago in said])
    recall = await store.recall(asking(question), CALLER)

    assert first in recall.items[0].memory.text


async def test_what_is_from_the_time_is_found_among_many(store_with):
    """Words choose among what was said then, and not only among the best of all times."""
    store = await store_with()
    often = [Memory("", f"Ramen again, number {n}.", days_ago(100 + n), "user", "turn", f"s{n}") for n in range(300)]
    once = Memory("", "We all went to that shop for ramen and came home late in the rain.", days_ago(1), "user", "turn")
    await store.take(OWNER, [*often, once])
    recall = await store.recall(asking("昨日のramenは?"), CALLER)

    assert once.text == recall.items[0].memory.text


# --- what changes ---


async def test_the_newer_fact_is_recalled(store_with):
    """And the older one with its mark, for who asks how it was."""
    store = await store_with()
    await told(store, "I live in Tokyo.", "I moved to Osaka.")
    now = await store.recall(asking("Where do I live?"), CALLER)
    before = await store.recall(asking("Where did I live before?"), CALLER)
    found = await store.search(OWNER, "Where do I live?", limit=5)

    assert ["I moved to Osaka."] == [item.memory.text for item in now.items]
    assert "user (no longer so): I live in Tokyo." in before.text
    assert ["I moved to Osaka.", "I live in Tokyo."] == [item.memory.text for item in found]


async def test_memories_from_before_are_read_by_themselves(store_with, monkeypatch):
    """Once, in the background."""
    first = await store_with()
    await told(first, "I live in Tokyo.", "I moved to Osaka.")
    await first.stop()
    monkeypatch.setattr(superseding, "RULES", superseding.RULES + 1)
    store = await store_with()
    await until(store._rereading._work.done)
    memories = await store.newest(OWNER, limit=10)

    assert [False, True] == [bool(memory.superseded_by) for memory in memories]


# --- what is long ---


async def test_a_long_memory_comes_as_a_passage(store_with):
    """It would never come otherwise; short ones have room beside it."""
    store = await store_with(max_tokens=200)
    filler = "The weather was fine and nobody said much about it. " * 40
    await told(store, f"{filler}My cat Mikan eats only tuna. {filler}", "My cat Mikan likes the garden.")
    recall = await store.recall(asking("What does my cat Mikan eat?"), CALLER)
    passage = next(item for item in recall.items if "tuna" in item.memory.text)

    assert passage.memory.text.startswith("…")
    assert 0 < passage.why["part"] < 0.2
    assert "My cat Mikan likes the garden." in recall.text
    assert tokens_of(recall.text) < 320  # the block's own words come on top


async def test_digests_that_come_back_are_made_anew(store_with):
    """An import brings what was said."""
    store = await store_with()
    count = await store.take(OWNER, [Memory("", "x", 1.0), Memory("", "user: x", 1.0, "digest", "digest")])

    assert 1 == count


async def test_few_of_a_day_come_without_a_common_word(store_with):
    """They can all be meant; of many, the words must choose."""
    store = await store_with()
    few = [("Fried noodles over a hot plate, we cried.", 1), ("A quiet walk.", 30)]
    await store.take(OWNER, [Memory("", text, days_ago(ago), "user", "turn", text) for text, ago in few])
    alone = await store.recall(asking("Which dinner party was it yesterday?"), CALLER)
    many = [Memory("", f"Something{'s' * n}", days_ago(1), "user", "turn", f"s{n}") for n in range(40)]
    await store.take(OWNER, many)
    among = await store.recall(asking("Which dinner party was it yesterday?"), CALLER)

    assert ["Fried noodles over a hot plate, we cried."] == [item.memory.text for item in alone.items]
    assert [] == list(among.items)


@pytest.mark.parametrize("question", ["What is my cat called?", "Where does the cat sleep?"])
async def test_a_first_memory_is_recalled(store_with, question):
    """Of a single memory, a shared word is enough: that it is in all of them says nothing yet."""
    store = await store_with()
    await store.add(OWNER, "My cat Kuro lives in the kitchen.")

    assert 1 == len((await store.recall(asking(question), CALLER)).items)
