"""A loaded echo: its words, its limits, and its failures on command."""

from __future__ import annotations

import asyncio

import pytest

from hoshikage import ChatRequest, Chunk, Constraint, Done, EmbedRequest, RerankRequest, Started, TokenLogprob
from hoshikage.core.errors import ContextOverflow, DeadlineExceeded, EngineFailed, InvalidRequest, WorkerDied
from tests.plugins.engine_echo.asking import asking, events_of, model_of, text_of, until_failure

LONG_S = 60.0
LIMIT_S = 2.0


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


# --- several answers, probabilities, deadlines ---


async def test_raw_prompt_of_token_ids_is_repeated_as_text():
    """Token ids in the place of a prompt are repeated as their characters."""
    assert ("hé", "stop") == await text_of(ChatRequest("r1", "echo", prompt=(104, 233)))


async def test_bad_token_id_is_refused():
    """A prompt with an id that is no character is refused by the field's name."""
    with pytest.raises(InvalidRequest) as error:
        await events_of(await model_of(), ChatRequest("r1", "echo", prompt=(-1,)))

    assert "prompt" == error.value.param


async def test_several_answers_are_alike():
    """With `n` each answer is the same text; the tokens of all count, those of the prompt once."""
    *events, done = await events_of(await model_of(), asking("one two three", n=2, max_tokens=2))

    assert [(0, "one"), (1, "one"), (0, " two"), (1, " two")] == [
        (e.index, e.text) for e in events if isinstance(e, Chunk)
    ]
    assert (("length", "length"), 3, 4) == (done.finish_reasons, done.usage.prompt_tokens, done.usage.completion_tokens)


@pytest.mark.parametrize(
    ("wanted", "logprobs"),
    [
        (None, ()),
        (0, (TokenLogprob("星".encode(), 0.0),)),
        (3, (TokenLogprob("星".encode(), 0.0, (TokenLogprob("星".encode(), 0.0),)),)),
    ],
)
async def test_each_token_is_certain(wanted: int | None, logprobs: tuple[TokenLogprob, ...]):
    """Where probabilities are asked for, each token has that of certainty, and no alternative but itself."""
    _, chunk, _ = await events_of(await model_of(), asking("星", logprobs=wanted))

    assert logprobs == chunk.logprobs


@pytest.mark.parametrize("settings", [{"first_token_delay_s": LONG_S}, {"tokens_per_second": 1 / LONG_S}])
async def test_late_answer_is_ended_at_its_deadline(settings: dict[str, float]):
    """An answer that is not complete at its deadline fails then, however slow its tokens are."""
    model = await model_of(**settings)

    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(DeadlineExceeded):
            await events_of(model, asking("one two", deadline_s=0.01))


async def test_answer_in_time_is_whole():
    """A deadline that is far away changes nothing."""
    assert ("one two", "stop") == await text_of(asking("one two", deadline_s=LONG_S))


async def test_constraint_changes_nothing():
    """Echo cannot be made to say anything but the message."""
    assert ("one two", "stop") == await text_of(asking("one two", constraint=Constraint("json_object")))


async def test_counters_count_tokens_and_answers_under_way():
    """The counters have the tokens of all answers so far, and how many are in the making."""
    model = await model_of(context_length=100)
    events = model.generate(asking("a b c", n=2))
    await anext(events)
    under_way = model.counters
    rest = [event async for event in events]
    ended = model.counters

    assert (1, 0) == (under_way.running, ended.running)
    assert (Done, 4, 3, 6, 9, 100) == (
        type(rest[-1]),
        ended.steps,
        ended.prefill_tokens,
        ended.decode_tokens,
        ended.batch_tokens,
        ended.cells_total,
    )


# --- numbers ---


def embedding(*inputs: str | tuple[int, ...], **fields) -> EmbedRequest:
    return EmbedRequest("r1", "echo", inputs, **fields)


async def test_equal_texts_have_equal_vectors():
    """Equal texts have equal vectors, as text and as token ids, and others have others; tokens are counted."""
    made = await (await model_of()).embed(embedding("a b", (97, 32, 98), "c"))
    first, second, third = made.vectors

    assert (True, False, 5) == (first == second, first == third, made.prompt_tokens)


async def test_long_input_is_refused():
    """An input that is longer than the context is refused with its place and both numbers."""
    model = await model_of(context_length=2)

    with pytest.raises(ContextOverflow, match="input 1 has 3 tokens") as error:
        await model.embed(embedding("a b", "a b c"))

    assert ("input", {"n_prompt_tokens": 3, "n_ctx": 2}) == (error.value.param, error.value.details)


async def test_long_input_is_cut_where_it_may_be():
    """With `truncate` a long input counts as its beginning."""
    made = await (await model_of(context_length=2)).embed(embedding("a b", "a b c", truncate=True))

    assert (True, 4) == (made.vectors[0] == made.vectors[1], made.prompt_tokens)


async def test_documents_are_scored():
    """Each document is scored by the query's words in it; the query counts once for each document."""
    made = await (await model_of()).rerank(RerankRequest("r1", "echo", "red fox", ("a fox", "a red fox", "dogs")))

    assert ((0.5, 1.0, 0.0), 12) == (made.scores, made.prompt_tokens)


@pytest.mark.parametrize("special", [False, True])
async def test_text_and_tokens_lead_to_each_other(special: bool):
    """Tokens are code points, without special ones among them."""
    model = await model_of()
    tokens = await model.tokenize("é星", special=special)

    assert ((233, 26143), "é星") == (tokens, await model.detokenize(tokens))


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.embed(embedding("a")),
        lambda model: model.rerank(RerankRequest("r1", "echo", "a", ("b",))),
        lambda model: model.tokenize("a"),
        lambda model: model.detokenize((97,)),
    ],
    ids=["embed", "rerank", "tokenize", "detokenize"],
)
async def test_dead_model_makes_no_numbers(ask):
    """A model that was unloaded refuses requests for numbers too."""
    model = await model_of()
    await model.close()

    with pytest.raises(WorkerDied, match="the model was unloaded"):
        await ask(model)
