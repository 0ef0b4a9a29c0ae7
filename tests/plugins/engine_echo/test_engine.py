"""The echo engine: its words, its limits, and its failures on command."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage import ChatRequest, Chunk, Done, Message, ModelRecord, Started
from hoshikage.core.errors import ContextOverflow, EngineFailed, ModelLoadFailed, WorkerDied
from hoshikage.plugins.engine_echo.engine import EchoEngine, EchoModel, tokens_of
from hoshikage.plugins.engine_echo.settings import EchoSettings
from hoshikage.plugins.engine_echo.source import EchoModels

LONG_S = 60.0
LIMIT_S = 2.0


async def model_of(**settings) -> EchoModel:
    return await EchoEngine(EchoSettings(**settings)).load(ModelRecord("echo", engine="echo"))


def asking(*texts: str, **fields) -> ChatRequest:
    return ChatRequest("r1", "echo", messages=tuple(Message("user", text) for text in texts), **fields)


async def events_of(model: EchoModel, request: ChatRequest) -> list:
    async with aclosing(model.generate(request)) as events:
        return [event async for event in events]


async def text_of(request: ChatRequest, **settings) -> tuple[str, str]:
    """The text of an answer, and why it ended."""
    *events, done = await events_of(await model_of(**settings), request)
    return "".join(e.text for e in events if isinstance(e, Chunk)), done.finish_reason


async def until_failure(model: EchoModel, request: ChatRequest) -> tuple[str, Exception]:
    """The text that came before the failure, and the failure."""
    text = ""
    try:
        async for event in model.generate(request):
            text += event.text if isinstance(event, Chunk) else ""
    except (EngineFailed, WorkerDied) as error:
        return text, error
    pytest.fail("the answer did not fail")


# --- tokens ---


@given(st.text())
def test_tokens_join_back_to_the_text(text: str):
    """Whatever the text, its tokens joined are the text again."""
    assert text == "".join(tokens_of(text))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("one two", ["one", " two"]),
        ("  one\n\ttwo", ["  one", "\n\ttwo"]),
        ("end. ", ["end.", " "]),
        ("日本語", ["日", "本", "語"]),
        ("I like 星", ["I", " like", " 星"]),
        ("naïve", ["naïve"]),
        ("👍🏽", ["👍", "🏽"]),
    ],
)
def test_tokens(text: str, tokens: list[str]):
    """A token is a word with the space before it, or one character of a script without spaces."""
    assert tokens == tokens_of(text)


# --- answers ---


async def test_last_message_is_repeated():
    """The answer is the last message, token by token, after the count of all of them."""
    events = await events_of(await model_of(), asking("a b c", "one two"))

    assert [Started(5), Chunk("one"), Chunk(" two")] == events[:-1]


async def test_usage_counts_tokens():
    """The last event has the tokens of prompt and answer."""
    *_, done = await events_of(await model_of(), asking("a b c", "one two"))

    assert ("stop", 5, 2, None) == (
        done.finish_reason,
        done.usage.prompt_tokens,
        done.usage.completion_tokens,
        done.receipt,
    )


async def test_raw_prompt_is_repeated():
    """Without messages the raw prompt is repeated."""
    assert ("raw text", "stop") == await text_of(ChatRequest("r1", "echo", prompt="raw text"))


async def test_empty_prompt_is_answered_with_nothing():
    """An empty prompt has an empty answer."""
    assert ("", "stop") == await text_of(ChatRequest("r1", "echo", prompt=""))


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ((), "one two three"),
        (("two",), "one "),
        (("e",), "on"),
        (("three", "two"), "one "),
        (("one",), ""),
        (("four",), "one two three"),
        (("",), "one two three"),
        (("e t",), "on"),
    ],
)
async def test_answer_ends_before_the_first_stop_string(stop: tuple[str, ...], text: str):
    """The answer ends before the first stop string, also within a token or across two."""
    assert (text, "stop") == await text_of(asking("one two three", stop=stop))


@pytest.mark.parametrize(
    ("max_tokens", "answer"),
    [
        (0, ("", "length")),
        (1, ("one", "length")),
        (2, ("one two", "length")),
        (3, ("one two three", "stop")),
        (9, ("one two three", "stop")),
        (-1, ("one two three", "stop")),
        (None, ("one two three", "stop")),
    ],
)
async def test_answer_ends_at_its_longest(max_tokens: int | None, answer: tuple[str, str]):
    """An answer that would be longer than allowed is cut, and says so."""
    assert answer == await text_of(asking("one two three", max_tokens=max_tokens))


@pytest.mark.parametrize("max_tokens", [None, 100])
async def test_answer_ends_with_the_context(max_tokens: int | None):
    """Prompt and answer together fit into the context."""
    assert ("a b", "length") == await text_of(asking("a b c d", max_tokens=max_tokens), context_length=6)


@pytest.mark.parametrize("words", [3, 4, 50])
async def test_prompt_that_leaves_no_room_is_refused(words: int):
    """A prompt that does not leave room for one token is refused, with both numbers."""
    model = await model_of(context_length=3)

    with pytest.raises(ContextOverflow) as error:
        await events_of(model, asking("x " * (words - 1) + "x"))

    assert {"n_prompt_tokens": words, "n_ctx": 3} == error.value.details


async def test_prompt_that_just_fits_is_answered():
    """A prompt that leaves room for one token gets one."""
    assert ("x", "length") == await text_of(asking("x x"), context_length=3)


async def test_callers_are_answered_at_once():
    """Two callers are answered side by side, not one after the other."""
    model = await model_of()
    order: list[str] = []

    async def ask(name: str) -> None:
        async for event in model.generate(asking(f"{name}1 {name}2")):
            order.extend([event.text.strip()] if isinstance(event, Chunk) else [])

    await asyncio.gather(ask("a"), ask("b"))

    assert order.index("b1") < order.index("a2")


async def test_speed_holds_back_tokens():
    """With a speed each token takes its time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await events_of(await model_of(tokens_per_second=200), asking("a b c d"))

    assert loop.time() - began >= 0.02 * 0.9


# --- failures on command ---


@pytest.mark.parametrize(("after", "text"), [(0, ""), (1, "one"), (2, "one two")])
async def test_answer_fails_on_command(after: int, text: str):
    """With `fail_after` each answer fails after so many tokens, and the model lives on."""
    model = await model_of(fail_after=after)
    failures = [await until_failure(model, asking("one two three")) for _ in range(2)]

    assert [(text, EngineFailed)] * 2 == [(made, type(error)) for made, error in failures]


async def test_short_answer_does_not_fail():
    """An answer that ends before it should fail is whole."""
    assert ("one", "stop") == await text_of(asking("one"), fail_after=1)


@pytest.mark.parametrize(("after", "text"), [(0, ""), (2, "one two")])
async def test_model_dies_on_command(after: int, text: str):
    """With `crash_after` the model dies after so many tokens, and says so to whoever watches it."""
    model = await model_of(crash_after=after)
    watch = asyncio.create_task(model.wait_closed())

    made, error = await until_failure(model, asking("one two three"))

    assert (text, WorkerDied, error.args[0]) == (made, type(error), await asyncio.wait_for(watch, LIMIT_S))


async def test_dead_model_answers_nobody():
    """A model that has died refuses further requests with its reason."""
    model = await model_of(crash_after=0)
    await until_failure(model, asking("one"))

    with pytest.raises(WorkerDied, match=r"crashed after 0 tokens, as echo\.crash_after says"):
        await events_of(model, asking("one"))


async def test_death_ends_all_answers():
    """When the model is closed, answers that still run end with an error."""
    model = await model_of()
    events = model.generate(asking("one two three"))
    for _ in range(2):
        await anext(events)
    await model.close()

    with pytest.raises(WorkerDied, match="the model was unloaded"):
        await anext(events)


async def test_close_ends_the_watch():
    """Whoever watches the model is told of its close; closing twice is as good as once."""
    model = await model_of()
    watch = asyncio.create_task(model.wait_closed())
    await model.close()
    await model.close()

    assert "the model was unloaded" == await asyncio.wait_for(watch, LIMIT_S)


async def test_cancelled_watch_does_not_end_the_model():
    """A watch that is cancelled leaves the model able to answer, and to be watched again."""
    model = await model_of()
    watch = asyncio.create_task(model.wait_closed())
    await asyncio.sleep(0)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    *_, done = await events_of(model, asking("one"))
    await model.close()

    assert (Done, "the model was unloaded") == (type(done), await model.wait_closed())


@pytest.mark.parametrize("settings", [{"first_token_delay_s": LONG_S}, {"tokens_per_second": 1 / LONG_S}])
async def test_answer_can_be_cancelled(settings: dict[str, float]):
    """A slow answer ends at once when its task is cancelled."""
    model = await model_of(**settings)
    started = asyncio.Event()

    async def ask() -> None:
        async for _ in model.generate(asking("one two")):
            started.set()

    task = asyncio.create_task(ask())
    await asyncio.wait_for(started.wait(), LIMIT_S)
    task.cancel()
    await asyncio.wait({task}, timeout=LIMIT_S)

    assert task.cancelled()


# --- loading ---


async def test_load_fails_on_command():
    """With `fail_load` the load fails with the message."""
    with pytest.raises(ModelLoadFailed, match="'echo' cannot be loaded: no memory"):
        await model_of(fail_load="no memory")


async def test_load_takes_its_time():
    """With `load_delay_s` the load does not end before."""
    task = asyncio.create_task(model_of(load_delay_s=LONG_S))
    done, _ = await asyncio.wait({task}, timeout=0.01)
    task.cancel()

    assert set() == done


async def test_options_of_a_model_win():
    """A model's own options take the place of the settings."""
    record = ModelRecord("small", engine="echo", options={"context_length": 8})
    model = await EchoEngine(EchoSettings(context_length=100)).load(record)

    assert 8 == model.context_length


@pytest.mark.parametrize("options", [{"context_length": "many"}, {"context_length": 1}, {"fail_after": -2}])
async def test_bad_option_is_a_failed_load(options: dict[str, object]):
    """An option of a wrong type or out of range fails the load with the model's name."""
    with pytest.raises(ModelLoadFailed, match="'x' has a bad option"):
        await EchoEngine(EchoSettings()).load(ModelRecord("x", engine="echo", options=options))


@pytest.mark.parametrize(("engine", "supported"), [("echo", True), ("", False), ("llamacpp", False)])
def test_only_models_that_name_it_are_supported(engine: str, supported: bool):
    """The engine never stands in for a real one."""
    assert supported == EchoEngine(EchoSettings()).supports(ModelRecord("m", engine=engine))


async def test_facts_are_those_of_an_echo():
    """The facts have the model's name and the context that it claims."""
    facts = await EchoEngine(EchoSettings(context_length=64)).facts(ModelRecord("parrot", engine="echo"))

    assert ("echo", "parrot", 64) == (facts.architecture, facts.name, facts.context_length)


# --- the source ---


def test_source_offers_the_named_models():
    """Each name of the settings is a model of this engine, with a digest of its own."""
    records = EchoModels(["a", "b"]).models()

    assert [("a", "echo", None), ("b", "echo", None)] == [(r.name, r.engine, r.file) for r in records]
    assert 2 == len({r.digest for r in records})
