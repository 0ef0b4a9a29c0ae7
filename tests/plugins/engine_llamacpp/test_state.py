"""Conversations that survive an unload: the real model, its worker, and files on real disks."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from hoshikage import LoadPlan, ModelRecord
from hoshikage.plugins.engine_llamacpp import child
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings, PrefixCacheSettings, StateSettings
from hoshikage.plugins.engine_llamacpp.state_places import StatePlaces
from tests.plugins.engine_llamacpp.answers import ask, raw
from tests.plugins.engine_llamacpp.conftest import N_THREADS
from tests.plugins.engine_llamacpp.test_model import kill, until, upto

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

STORY = "Once upon a time " + ", ".join(f"king {n} ruled for {n} years" for n in range(1, 25))
N_STORY = 200  # tokens, at least
N_CTX = 512
TOO_LONG = " a" * (N_CTX + 50)


@pytest.fixture
def engine_on(tmp_path: Path) -> Callable[..., LlamaCppEngine]:
    """Builds engines that save what is said below the test's folder."""

    def build(*, scope: str = "all", **state: float) -> LlamaCppEngine:
        settings = LlamaCppSettings(n_ctx=N_CTX, max_num_seqs=4, n_threads=N_THREADS, spare_workers=0)
        places = StatePlaces(StateSettings(**state), tmp_path / "state")
        return LlamaCppEngine(settings, PrefixCacheSettings(scope=scope), places)

    return build


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.state"))


async def test_a_conversation_goes_on_after_an_unload(engine_on, smollm2_f16: Path, tmp_path: Path):
    """What was computed before the unload is not computed again, and the answer is that of an undisturbed run."""
    record = ModelRecord("m", smollm2_f16, digest="d" * 64)
    forgetful = await engine_on(min_tokens=1000).load(record)
    first = await ask(forgetful, raw(STORY))
    second = raw(STORY + first.text + " And then")
    expected = await ask(forgetful, second)
    await forgetful.close()
    for request in (raw(STORY), second):
        model = await engine_on().load(record)
        answer = await ask(model, request)
        counters = model.counters
        await model.close()

    assert expected.text == answer.text
    assert N_STORY < answer.done.usage.cached_tokens == expected.done.usage.cached_tokens
    assert counters.restored_tokens >= answer.done.usage.cached_tokens
    assert 1 <= len(files(tmp_path))


async def test_a_prompt_that_leaves_the_saved_text_uses_its_beginning(engine_on, record):
    """The saved text is cut where the new prompt goes another way."""
    model = await engine_on().load(record)
    await ask(model, raw(STORY))
    await model.close()
    again = await engine_on().load(record)
    answer = await ask(again, raw(STORY[:400] + " Nobody ruled at all."))
    await again.close()

    assert 50 < answer.done.usage.cached_tokens < N_STORY


async def test_a_sliding_window_survives_as_a_whole(engine_on, gemma_path: Path):
    """A memory that cannot be cut goes on where its text ended."""
    record = ModelRecord("gemma", gemma_path)
    model = await engine_on().load(record)
    first = await ask(model, raw(STORY))
    await model.close()
    second = raw(STORY + first.text + " And then")
    again = await engine_on().load(record)
    answer = await ask(again, second)
    await again.close()
    forgetful = await engine_on(min_tokens=1000).load(record)
    expected = await ask(forgetful, second)
    await forgetful.close()

    assert N_STORY < answer.done.usage.cached_tokens
    assert expected.text == answer.text


async def test_damaged_files_cost_nothing_but_the_computing(engine_on, record, tmp_path: Path):
    """Cut, overwritten or foreign files are passed over; the answer is right, and the worker lives."""
    model = await engine_on().load(record)
    expected = await ask(model, raw(STORY))
    await model.close()
    for number, file in enumerate(files(tmp_path)):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content if number % 2 else content[: len(content) // 2])
    (files(tmp_path)[0].parent / "foreign.state").write_bytes(b"nothing of ours" * 1000)
    again = await engine_on().load(record)
    answer = await ask(again, raw(STORY))
    counters = again.counters
    await again.close()

    assert (expected.text, 0, 0) == (answer.text, answer.done.usage.cached_tokens, counters.restored_tokens)


async def test_another_cache_type_does_not_read_it(engine_on, record):
    """A memory in 16 bits means nothing to a cache in 8."""
    model = await engine_on().load(record)
    await ask(model, raw(STORY))
    await model.close()
    options = {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
    again = await engine_on().load(ModelRecord("smollm2", record.file, options=options))
    answer = await ask(again, raw(STORY))
    await again.close()

    assert 0 == answer.done.usage.cached_tokens


async def test_callers_do_not_go_on_from_each_other(engine_on, record):
    """With the scope `caller`, what one has said is restored for this one only."""
    model = await engine_on(scope="caller").load(record)
    await ask(model, raw(STORY, caller_key="a"))
    await model.close()
    again = await engine_on(scope="caller").load(record)
    others = await ask(again, raw(STORY, caller_key="b"))
    own = await ask(again, raw(STORY, caller_key="a"))
    await again.close()

    assert 0 == others.done.usage.cached_tokens
    assert N_STORY < own.done.usage.cached_tokens


async def test_a_loaded_model_saves_now_and_then(engine_on, record, tmp_path: Path):
    """A worker that is killed has lost only what was said since; short texts are not worth a file."""
    model = await engine_on(interval_s=0.05).load(record)
    await ask(model, raw("Hello"))
    await ask(model, raw(STORY))
    await until(lambda: files(tmp_path))
    await kill(model)
    await model.close()
    again = await engine_on().load(record)
    answer = await ask(again, raw(STORY))
    await again.close()

    assert 1 == len(files(tmp_path))
    assert N_STORY < answer.done.usage.cached_tokens


async def test_a_replayed_answer_begins_from_what_was_saved(engine_on, record, tmp_path: Path):
    """When a worker dies, the next one restores the prompt instead of computing it."""
    model = await engine_on(interval_s=0.05).load(record)
    await ask(model, raw(STORY))
    await until(lambda: files(tmp_path))
    stream = model.generate(raw(STORY, max_tokens=200))
    [_ async for _ in upto(stream, chunks=3)]
    await kill(model)
    rest = [event async for event in stream]
    restored = model.counters.restored_tokens
    await model.close()

    assert 1 == rest[-1].usage.replays
    assert N_STORY < restored


async def test_the_ram_disk_comes_first_and_the_disk_at_the_end(engine_on, record, tmp_path: Path):
    """Beside a staged model the files are on the RAM disk; closing the engine brings them to the disk."""
    engine = engine_on()
    plan = LoadPlan(state_folders=(tmp_path / "ram",))
    model = await engine.load(record, plan)
    await ask(model, raw(STORY))
    await model.close()
    places = len(files(tmp_path / "ram")), len(files(tmp_path / "state"))
    await engine.close()
    again = await engine_on().load(record)
    answer = await ask(again, raw(STORY))
    await again.close()

    assert (1, 0) == places
    assert (0, 1) == (len(files(tmp_path / "ram")), len(files(tmp_path / "state")))
    assert N_STORY < answer.done.usage.cached_tokens


async def test_a_worker_that_saves_for_too_long_is_ended(engine_on, record, monkeypatch):
    """A close does not wait for ever: a worker that hangs in the middle of it goes by signal."""
    monkeypatch.setattr(child, "SAVE_LIMIT_S", 0.5)
    monkeypatch.setattr(child, "STOP_LIMIT_S", 1.0)
    model = await engine_on().load(record)
    await ask(model, raw(STORY))
    assert model.pid is not None
    pid = model.pid
    closing = asyncio.create_task(model.close())
    os.kill(pid, signal.SIGSTOP)
    await closing

    assert not psutil.pid_exists(pid)


# --- longer contexts ---


async def test_a_context_grows_while_answers_are_made(engine_on, record):
    """Running answers go on in the longer context, and so does what was kept."""
    model = await engine_on().load(record)
    await ask(model, raw(STORY))
    undisturbed = await ask(model, raw("One two three four", max_tokens=40))
    stream = model.generate(raw("One two three four", max_tokens=40))
    begun = [event async for event in upto(stream, chunks=5)]
    await model.extend_context(4096)
    rest = [event async for event in stream]
    kept = await ask(model, raw(STORY))
    long = await ask(model, raw(TOO_LONG, max_tokens=2))
    await model.close()

    assert undisturbed.text == "".join(e.text for e in [*begun, *rest[:-1]])
    assert N_STORY < kept.done.usage.cached_tokens
    assert (4096, 2) == (model.context_length, long.done.usage.completion_tokens)


async def test_a_context_grows_no_further_than_the_model(engine_on, record):
    """What the model was not trained for is refused, with both numbers; it has grown as far as it can."""
    from hoshikage.core.errors import ContextOverflow

    model = await engine_on().load(record)
    with pytest.raises(ContextOverflow, match=r"8192 tokens, but 100000"):
        await model.extend_context(100_000)
    longest = model.context_length
    await model.extend_context(512)
    await model.close()

    assert (8192, 8192) == (longest, model.context_length)


async def test_the_longer_context_survives_a_death(engine_on, record):
    """The next worker has as much room as the last one had."""
    model = await engine_on().load(record)
    await model.extend_context(2048)
    stream = model.generate(raw(TOO_LONG, max_tokens=20))
    [_ async for _ in upto(stream, chunks=2)]
    await kill(model)
    rest = [event async for event in stream]
    await model.close()

    assert (2048, 20) == (model.context_length, rest[-1].usage.completion_tokens)
