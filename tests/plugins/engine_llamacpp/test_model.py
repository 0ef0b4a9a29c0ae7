"""A loaded model and its worker process: cancelled callers, sudden deaths, an orderly end, a failed load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import gguf
import numpy as np
import psutil
import pytest

from hoshikage import Chunk, ModelRecord, Started
from hoshikage.core.errors import ModelLoadFailed, PromptKillsWorker, WorkerDied
from hoshikage.plugins.engine_llamacpp import child, frames
from hoshikage.plugins.engine_llamacpp import model as model_module
from hoshikage.plugins.engine_llamacpp.channel import Channel
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from tests.plugins.engine_llamacpp.answers import COUNTS, ask, raw
from tests.plugins.engine_llamacpp.conftest import N_THREADS, SMALL_N_CTX

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

NOTICE_LIMIT_S = 2.0  # callers hear of a dead worker within this
GONE_LIMIT_S = 15.0
POLL_S = 0.02
ENGINE = LlamaCppEngine(LlamaCppSettings(n_ctx=512, n_threads=N_THREADS, spare_workers=0))
STORY = "Once upon a time"
ENDLESS = raw(STORY, max_tokens=-1)

PARENT = """
import asyncio, pathlib, sys
from hoshikage import ModelRecord
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings

async def main():
    engine = LlamaCppEngine(LlamaCppSettings(n_ctx=256, spare_workers=0))
    model = await engine.load(ModelRecord("m", pathlib.Path(sys.argv[1])))
    print("pid", model.pid, flush=True)
    await model.wait_closed()

asyncio.run(main())
"""


# --- cancelled callers ---


@pytest.fixture
def taken(small_model) -> Iterator[list[frames.FromWorker]]:
    """Every frame that the small model's worker sends from now on."""
    seen: list[frames.FromWorker] = []

    def note(frame: frames.FromWorker) -> None:
        seen.append(frame)
        small_model._take(frame)

    small_model._child.listen(note)
    yield seen
    small_model._child.listen(small_model._take)


async def test_a_caller_that_leaves_while_tokens_are_made_frees_its_cells(small_model, taken):
    """After the leaving, a prompt that needs nearly the whole context is answered, and nothing else is computed."""
    async with contextlib.aclosing(small_model.generate(ENDLESS)) as events:
        async for event in events:
            if isinstance(event, Chunk):
                break
    answer = await ask(small_model, raw(" a" * (SMALL_N_CTX - 4), max_tokens=3))

    assert 3 == answer.done.usage.completion_tokens
    assert 1 == len(sequences_after_the_last_begin(taken))


async def test_a_caller_that_leaves_during_a_long_prefill_frees_its_cells(small_model, taken):
    """A prompt whose caller is gone is not computed to its end."""
    async with contextlib.aclosing(small_model.generate(raw(" b" * (SMALL_N_CTX - 20), max_tokens=-1))) as events:
        async for event in events:
            if isinstance(event, Started):
                break
    answer = await ask(small_model, raw(" a" * (SMALL_N_CTX - 4), max_tokens=3))

    assert 3 == answer.done.usage.completion_tokens
    assert 1 == len(sequences_after_the_last_begin(taken))


async def test_a_caller_that_leaves_the_queue_is_forgotten(small_model, taken):
    """Callers that wait for a slot can leave too."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(small_model, ENDLESS)) for _ in range(9)]
        await until(lambda: 9 == sum(isinstance(frame, frames.Begun) for frame in taken))
        for task in tasks:
            task.cancel()
    answer = await ask(small_model, raw(" a" * (SMALL_N_CTX - 4), max_tokens=3))

    assert 3 == answer.done.usage.completion_tokens
    assert 1 == len(sequences_after_the_last_begin(taken))


async def test_others_go_on_when_one_leaves(small_model):
    """A cancelled neighbour does not touch an answer."""
    alone = await ask(small_model, raw(COUNTS[0]))
    neighbour = asyncio.create_task(ask(small_model, ENDLESS))
    beside = asyncio.create_task(ask(small_model, raw(COUNTS[0])))
    await asyncio.sleep(0)
    neighbour.cancel()

    assert alone.text == (await beside).text


def sequences_after_the_last_begin(taken: list[frames.FromWorker]) -> set[int]:
    """The sequences that got tokens since the last one began; a cancelled one must not be among them.

    The order is certain: the cancellation went to the worker before the last request did.
    """
    last = max(i for i, frame in enumerate(taken) if isinstance(frame, frames.Begun))
    return {delta.id for frame in taken[last:] if isinstance(frame, frames.Step) for delta in frame.deltas}


# --- sudden death ---


async def test_an_answer_goes_on_when_its_worker_is_killed(record):
    """The same stream goes on in another worker, with the text that an undisturbed one has, nothing twice."""
    model = await ENGINE.load(record)
    wanted = raw(COUNTS[0], max_tokens=40)
    undisturbed = await ask(model, wanted)
    first_pid = model.pid
    stream = model.generate(wanted)
    texts = [event.text async for event in upto(stream, chunks=8)]
    await kill(model)
    rest = [event async for event in stream]

    assert undisturbed.text == "".join(texts) + "".join(e.text for e in rest if isinstance(e, Chunk))
    assert 40 == rest[-1].usage.completion_tokens
    assert 1 == rest[-1].usage.replays
    assert first_pid != model.pid
    await model.close()


async def test_everything_in_flight_goes_on_in_the_next_worker(record):
    """Several answers to one request, a neighbour, and a caller that only wants a text tokenised."""
    model = await ENGINE.load(record)
    two = raw(COUNTS[0], max_tokens=30, n=2)
    undisturbed = [await ask(model, two), await ask(model, raw(COUNTS[1], max_tokens=30))]
    streams = [model.generate(two), model.generate(raw(COUNTS[1], max_tokens=30))]
    begun = [[event async for event in upto(stream, chunks=4)] for stream in streams]
    tokenising = asyncio.create_task(model.tokenize("Hello"))
    await kill(model)
    ids = await tokenising
    ended = [chunks + [event async for event in stream] for chunks, stream in zip(begun, streams, strict=True)]

    assert ids == await model.tokenize("Hello")
    for events, before in zip(ended, undisturbed, strict=True):
        assert text_of(before.events, 0) == text_of(events, 0)
    assert text_of(undisturbed[0].events, 1) == text_of(ended[0], 1) != ""
    await model.close()


async def test_a_prompt_that_kills_twice_is_refused(record):
    """Alone with two dying workers it is to blame: it ends, and is not tried again; others are."""
    model = await ENGINE.load(record)
    fatal = raw("A prompt that is used nowhere else", max_tokens=-1)
    stream = model.generate(fatal)
    for _ in range(2):
        [_ async for _ in upto(stream, chunks=2)]
        await kill(model)

    with pytest.raises(PromptKillsWorker, match="'smollm2' twice"):
        await drain(stream)
    with pytest.raises(PromptKillsWorker):
        await ask(model, fatal)
    await model.close()
    again = await ENGINE.load(record)
    with pytest.raises(PromptKillsWorker):
        await ask(again, fatal)
    assert "" != (await ask(again, raw(COUNTS[0]))).text
    await again.close()


async def test_a_neighbour_of_a_killing_prompt_is_not_blamed(record):
    """After two deaths in company they go on one by one; the third is one's own, and the other is answered."""
    model = await ENGINE.load(record)
    guilty, innocent = model.generate(raw(COUNTS[2], max_tokens=-1)), model.generate(raw(COUNTS[0], max_tokens=24))
    for _ in range(2):
        [_ async for _ in upto(guilty, chunks=2)]
        [_ async for _ in upto(innocent, chunks=2)]
        await kill(model)
    [_ async for _ in upto(guilty, chunks=2)]
    await kill(model)

    with pytest.raises(PromptKillsWorker):
        await drain(guilty)
    rest = [event async for event in innocent]
    assert 24 == rest[-1].usage.completion_tokens
    await model.close()


async def test_an_idle_worker_that_dies_is_noticed(record):
    """The end is known before the next request comes, which then gets the reason."""
    model = await ENGINE.load(record)
    assert model.pid is not None
    os.kill(model.pid, signal.SIGSEGV)

    async with asyncio.timeout(NOTICE_LIMIT_S):
        assert "SIGSEGV" in await model.wait_closed()
    await model.close()


async def test_a_request_right_after_the_death_does_not_hang(record):
    """A request that comes before the death is noticed is answered by the next worker."""
    model = await ENGINE.load(record)
    os.kill(model.pid, signal.SIGKILL)

    assert 3 == (await ask(model, raw(STORY, max_tokens=3))).done.usage.completion_tokens
    await model.close()


async def test_workers_that_keep_dying_are_not_replaced_for_ever(record, monkeypatch):
    """After many deaths within a minute the model ends, with the reason."""
    monkeypatch.setattr(model_module, "MAX_DEATHS", 2)
    model = await ENGINE.load(record)
    streams = [model.generate(raw(text, max_tokens=-1)) for text in COUNTS[:2]]
    for _ in range(2):
        for stream in streams:
            [_ async for _ in upto(stream, chunks=1)]
        await kill(model)

    async with asyncio.timeout(GONE_LIMIT_S):
        with pytest.raises(WorkerDied, match="SIGKILL"):
            await drain(streams[0])
        assert "SIGKILL" in await model.wait_closed()
    await model.close()


async def upto(stream, *, chunks: int):
    """The next chunks of a stream that goes on."""
    while chunks:
        event = await anext(stream)
        if isinstance(event, Chunk):
            chunks -= 1
            yield event


def text_of(events, index: int) -> str:
    """One of several answers."""
    return "".join(e.text for e in events if isinstance(e, Chunk) and e.index == index)


async def kill(model) -> None:
    """End the worker as the kernel does when memory runs out, and wait until there is another one, or the end."""
    assert model.pid is not None
    before = model.pid
    os.kill(before, signal.SIGKILL)
    ended = asyncio.create_task(model.wait_closed())
    await until(lambda: model.pid != before or ended.done())
    ended.cancel()


# --- orderly end ---


async def test_close_leaves_no_process(record):
    """After the close the process is gone, its end is announced, and a second close does nothing."""
    model = await ENGINE.load(record)
    assert model.pid is not None
    assert psutil.pid_exists(model.pid)
    await model.close()
    await model.close()

    assert not psutil.pid_exists(model.pid)
    assert "the model was unloaded" == await model.wait_closed()


async def test_close_ends_streams_with_an_error(record):
    """A caller whose model is unloaded hears of it, and the process is gone all the same."""
    model = await ENGINE.load(record)
    stream = model.generate(ENDLESS)
    await anext(stream)
    reading = asyncio.create_task(drain(stream))
    await model.close()

    with pytest.raises(WorkerDied, match="the model was unloaded"):
        await reading
    assert not psutil.pid_exists(model.pid)


async def test_close_ends_a_worker_that_hangs(record, monkeypatch):
    """A stopped process answers no polite request; the signals that follow end it."""
    monkeypatch.setattr(child, "STOP_LIMIT_S", 1.0)
    model = await ENGINE.load(record)
    assert model.pid is not None
    os.kill(model.pid, signal.SIGSTOP)
    await model.close()

    assert not psutil.pid_exists(model.pid)


@pytest.mark.parametrize("hangs", [False, True], ids=["idle", "hanging"])
async def test_the_worker_ends_when_its_server_is_killed(smollm2_path, hangs):
    """A server that dies without a word leaves no process with gigabytes behind, not even one that hangs."""
    command = [sys.executable, "-c", PARENT, str(smollm2_path)]
    parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    line = b""
    while not line.startswith(b"pid "):
        line = await parent.stdout.readline()
        assert line, "the server ended before it had loaded the model"
    pid = int(line.split()[1])
    assert is_running(pid)
    if hangs:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()

    try:
        await until(lambda: not is_running(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# --- failed loads ---


async def test_an_unknown_architecture_is_named_in_the_words_of_llama_cpp(tmp_path):
    """A model that is newer than the library says so, and leaves no process."""
    file = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(file, "imagined")
    writer.add_tensor("w", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    before = worker_pids()

    with pytest.raises(ModelLoadFailed, match=r"'m' cannot be loaded: .*unknown model architecture: 'imagined'"):
        await ENGINE.load(ModelRecord("m", file))
    assert before == worker_pids()


async def test_a_context_that_cannot_be_made_is_a_failed_load(record):
    """Settings that llama.cpp does not allow together come back in its own words."""
    options = {"cache_type_v": "q8_0", "flash_attention": "off"}
    before = worker_pids()

    with pytest.raises(ModelLoadFailed, match=r"no context of .* quantized V cache requires flash_attn"):
        await ENGINE.load(ModelRecord("m", record.file, options=options))
    assert before == worker_pids()


async def test_a_cancelled_load_leaves_no_process(record):
    """Who gives up waiting for a load does not leave it running."""
    before = worker_pids()
    loading = asyncio.create_task(ENGINE.load(record))
    await until(lambda: worker_pids() > before)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading

    assert before == worker_pids()


@pytest.mark.parametrize("moment", ["open", "send"])
async def test_a_load_cancelled_at_its_start_leaves_no_process(record, monkeypatch, moment):
    """Giving up before the worker has read its first frame leaves none behind either."""
    before = worker_pids()
    reached = asyncio.Event()

    async def never_end(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Channel, moment, never_end)
    loading = asyncio.create_task(ENGINE.load(record))
    await reached.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading

    assert before == worker_pids()


async def drain(stream) -> None:
    """Read a stream to its end."""
    async for _ in stream:
        pass


async def until(condition) -> None:
    """Wait for a condition."""
    end = time.monotonic() + GONE_LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(POLL_S)


def worker_pids() -> set[int]:
    """The processes that this one has started."""
    return {child.pid for child in psutil.Process().children()}


def is_running(pid: int) -> bool:
    """Whether a process runs; one that only nobody has collected yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
