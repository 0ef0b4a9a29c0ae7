"""Answers of the real model: counts, ends, sampling, and many callers at once."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from hoshikage import Chunk, Message, Sampling
from hoshikage.core.errors import ContextOverflow, InvalidRequest
from hoshikage.plugins.engine_llamacpp.worker.template import ChatTemplate
from tests.plugins.engine_llamacpp.answers import ANSWER_LIMIT_S, COUNTS, GREEDY, ask, ask_together, chat, raw
from tests.plugins.engine_llamacpp.conftest import N_CTX, SMALL_N_CTX

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

STORY = "Once upon a time"
COUNT = COUNTS[0]
HOT = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0)
# What ends an answer of this model: <|endoftext|>, <|im_end|>, <reponame>.
NO_END = {0: -100.0, 2: -100.0, 4: -100.0}


# --- counts ---


async def test_a_greedy_answer_is_the_same_twice(model):
    """Without chance in the choice, the same request has the same answer."""
    first = await ask(model, chat("List the planets."))
    second = await ask(model, chat("List the planets."))

    assert first.text
    assert first.text == second.text


async def test_token_counts_are_those_of_the_tokenizer_and_of_the_chunks(model, count_tokens, smollm2_path):
    """Prompt tokens are the rendered template's, completion tokens the sum over all chunks."""
    from hoshikage.core.gguf import facts_of, read_header

    source = facts_of(read_header(smollm2_path)).chat_template
    turns = [{"role": "user", "content": "こんにちは、影🌟"}]
    n_prompt = len(count_tokens(ChatTemplate(source, bos="<|im_start|>", eos="<|im_end|>").render(turns)))
    answer = await ask(model, chat("こんにちは、影🌟", max_tokens=12))

    assert (n_prompt, n_prompt) == (answer.started.prompt_tokens, answer.done.usage.prompt_tokens)
    assert sum(c.tokens for c in answer.chunks) == answer.done.usage.completion_tokens


async def test_a_raw_prompt_bypasses_the_template(model, count_tokens):
    """Raw text is all that the model sees."""
    answer = await ask(model, raw(STORY, max_tokens=1))

    assert len(count_tokens(STORY)) == answer.done.usage.prompt_tokens


async def test_the_times_of_an_answer_are_measured(model):
    """Prefill and decode each took some time."""
    usage = (await ask(model, raw(STORY))).done.usage

    assert usage.prefill_s > 0
    assert usage.decode_s > 0


async def test_the_model_says_how_large_it_is(model, smollm2_path):
    """Context and size are known after the load."""
    assert N_CTX == model.context_length
    assert model.size_bytes > smollm2_path.stat().st_size // 2


# --- ends ---


async def test_max_tokens_ends_an_answer(model):
    """The bound is exact, and the reason is `length`."""
    answer = await ask(model, raw(STORY, max_tokens=5))

    assert ("length", 5) == (answer.done.finish_reason, answer.done.usage.completion_tokens)


async def test_the_model_ends_an_answer_by_itself(model):
    """The end that the model chose has the reason `stop`, and its token writes nothing."""
    answer = await ask(model, chat("Say hello.", max_tokens=None))

    assert "stop" == answer.done.finish_reason
    assert answer.text
    assert "<|im_end|>" not in answer.text


async def test_a_stop_string_ends_an_answer_before_it(model):
    """The stop string is no part of the answer, and nothing after it is made."""
    whole = await ask(model, raw(COUNT, max_tokens=30))
    stopped = await ask(model, raw(COUNT, max_tokens=30, stop=("never", " 9,")))

    assert " 9," in whole.text
    assert (whole.text.partition(" 9,")[0], "stop") == (stopped.text, stopped.done.finish_reason)
    assert stopped.done.usage.completion_tokens < whole.done.usage.completion_tokens


async def test_what_only_began_a_stop_string_is_part_of_an_answer_cut_by_length(model):
    """Text that was held back is not lost when the answer ends before the stop string could."""
    whole = await ask(model, raw(COUNT, max_tokens=8))
    held = await ask(model, raw(COUNT, max_tokens=8, stop=(whole.text[-2:] + " never",)))

    assert (whole.text, "length") == (held.text, held.done.finish_reason)
    assert held.chunks[-1].text.endswith(whole.text[-2:])


async def test_minus_one_goes_on_to_the_end_of_the_context(small_model):
    """An answer without a bound ends where the context does."""
    request = raw(COUNT, max_tokens=-1, sampling=replace(GREEDY, logit_bias=NO_END))
    done = (await ask(small_model, request)).done

    assert ("length", SMALL_N_CTX) == (done.finish_reason, done.usage.prompt_tokens + done.usage.completion_tokens)


async def test_a_prompt_that_leaves_room_for_one_token_gets_one(small_model, count_tokens):
    """The longest prompt that fits is answered."""
    prompt = " a" * (SMALL_N_CTX - 1)
    assert SMALL_N_CTX - 1 == len(count_tokens(prompt))
    done = (await ask(small_model, raw(prompt, max_tokens=None))).done

    assert ("length", 1) == (done.finish_reason, done.usage.completion_tokens)


# --- sampling ---


async def test_the_same_seed_gives_the_same_text(model):
    """A seed makes chance repeatable."""
    request = raw(STORY, sampling=replace(HOT, seed=7))

    assert (await ask(model, request)).text == (await ask(model, request)).text


async def test_another_seed_gives_another_text(model):
    """Seeds are really used."""
    texts = {(await ask(model, raw(STORY, sampling=replace(HOT, seed=seed)))).text for seed in (1, 2)}

    assert 2 == len(texts)


async def test_without_a_seed_two_answers_differ(model):
    """Chance is the default."""
    texts = {(await ask(model, raw(STORY, sampling=HOT))).text for _ in range(2)}

    assert 2 == len(texts)


async def test_temperature_0_ignores_the_seed(model):
    """Greedy has no chance in it."""
    texts = {(await ask(model, raw(STORY, sampling=replace(GREEDY, seed=seed)))).text for seed in (1, 2)}

    assert 1 == len(texts)


@pytest.mark.parametrize("field", ["top_k", "top_p", "min_p"])
async def test_a_filter_that_leaves_one_token_is_greedy(model, field):
    """However hot, of one candidate the first is chosen."""
    only = {"top_k": 1, "top_p": 1e-6, "min_p": 1.0}[field]
    sampled = await ask(model, raw(STORY, sampling=replace(HOT, **{field: only})))

    assert (await ask(model, raw(STORY))).text == sampled.text


@pytest.mark.parametrize("penalty", [{"repeat_penalty": 1.5}, {"presence_penalty": 2.0}, {"frequency_penalty": 2.0}])
async def test_a_penalty_changes_a_repetitive_answer(model, penalty):
    """Commas cannot go on for ever when each costs something."""
    plain = await ask(model, raw(COUNT, max_tokens=40))
    penalised = await ask(model, raw(COUNT, max_tokens=40, sampling=replace(GREEDY, **penalty)))

    assert plain.text != penalised.text


async def test_a_penalty_that_sees_no_tokens_changes_nothing(model):
    """`repeat_last_n` 0 switches the penalties off."""
    blind = replace(GREEDY, repeat_penalty=1.5, repeat_last_n=0)

    assert (await ask(model, raw(COUNT))).text == (await ask(model, raw(COUNT, sampling=blind))).text


async def test_typical_sampling_answers(model):
    """The one filter that nothing else compares with at least works, repeatably."""
    request = raw(STORY, sampling=replace(HOT, typical_p=0.5, seed=3))
    first = await ask(model, request)

    assert first.text
    assert first.text == (await ask(model, request)).text


async def test_a_bias_forces_a_token(model, count_tokens):
    """+100 is as good as certain."""
    (token,) = count_tokens(" moon")
    answer = await ask(model, raw(STORY, max_tokens=3, sampling=replace(GREEDY, logit_bias={token: 100.0})))

    assert " moon moon moon" == answer.text


async def test_a_bias_forbids_a_token(model, count_tokens):
    """-100 takes a token out of the choice."""
    plain = await ask(model, raw(STORY))
    (token,) = count_tokens(plain.chunks[0].text)
    biased = await ask(model, raw(STORY, sampling=replace(GREEDY, logit_bias={token: -100.0})))

    assert plain.chunks[0].text not in [c.text for c in biased.chunks]


# --- refusals ---


@pytest.mark.parametrize("token", [-1, 49_152, 2**40])
async def test_a_bias_for_a_token_that_does_not_exist_is_refused(model, token):
    """The message says which ids there are."""
    request = raw(STORY, sampling=replace(GREEDY, logit_bias={token: 1.0}))

    with pytest.raises(InvalidRequest, match=rf"logit_bias names token {token}; .* 0 to 49151") as caught:
        await ask(model, request)
    assert "logit_bias" == caught.value.param


async def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(small_model, count_tokens):
    """The caller reads how long the prompt is and how much fits."""
    prompt = " a" * SMALL_N_CTX
    with pytest.raises(ContextOverflow) as caught:
        await ask(small_model, raw(prompt))

    assert {"n_prompt_tokens": len(count_tokens(prompt)), "n_ctx": SMALL_N_CTX} == caught.value.details
    assert str(SMALL_N_CTX) in caught.value.message


async def test_an_empty_raw_prompt_is_refused(model):
    """The model needs at least one token to go on from."""
    with pytest.raises(InvalidRequest, match="the prompt is empty") as caught:
        await ask(model, raw(""))

    assert "prompt" == caught.value.param


async def test_the_model_answers_after_a_refusal(model):
    """A refused request leaves nothing behind."""
    with pytest.raises(ContextOverflow):
        await ask(model, raw(" a" * N_CTX))

    assert (await ask(model, raw(STORY))).text


# --- characters ---


async def test_emoji_never_come_in_halves(model):
    """Characters of several tokens are held back until they are whole."""
    answer = await ask(model, raw("😀🎉😀🎉😀🎉😀🎉", max_tokens=40))

    assert "\ufffd" not in answer.text
    assert "" in [c.text for c in answer.chunks]
    assert any(ord(character) > 0xFFFF for character in answer.text)


async def test_japanese_never_comes_in_halves(model):
    """The same for kanji and kana, which this vocabulary also cuts."""
    answer = await ask(model, raw("東京、大阪、東京、大阪、東京、", max_tokens=40))

    assert "\ufffd" not in answer.text
    assert any("\u3040" <= character <= "\u9fff" for character in answer.text)


async def test_names_and_several_turns_are_taken(model):
    """A conversation with a system turn and a named speaker is answered."""
    turns = (
        Message("system", "Be kind."),
        Message("user", "Hi!", "影"),
        Message("assistant", "Hi."),
        Message("user", "?"),
    )
    answer = await ask(model, replace(chat("", max_tokens=5), messages=turns))

    assert answer.text


# --- many callers ---


async def test_eight_callers_are_answered_at_once(model):
    """All eight get their first text before any is done, and each gets the answer it would get alone."""
    requests = [raw(prompt, max_tokens=24) for prompt in COUNTS]
    alone = [(await ask(model, request)).text for request in requests]
    answers, order = await ask_together(model, requests)

    assert ["first"] * 8 == order[:8]
    assert [("length", 24)] * 8 == [(a.done.finish_reason, a.done.usage.completion_tokens) for a in answers]
    assert equal_count(alone, answers) >= 7  # one may meet a tie that rounding decides


async def test_more_callers_than_slots_wait_their_turn(small_model):
    """The ninth of six is answered when a slot is free."""
    answers, _ = await ask_together(small_model, [raw(STORY, max_tokens=4) for _ in range(9)])

    assert [4] * 9 == [a.done.usage.completion_tokens for a in answers]


async def test_a_full_cache_makes_callers_wait_and_loses_nothing(small_model):
    """Six answers that together need more cells than there are all end whole, and unchanged."""
    requests = [raw(prompt, max_tokens=50) for prompt in COUNTS[:6]]
    alone = [(await ask(small_model, request)).text for request in requests]
    answers, order = await ask_together(small_model, requests)

    needed = sum(a.done.usage.prompt_tokens + a.done.usage.completion_tokens for a in answers)
    assert ["first"] * 6 == order[:6]  # all six were in the cache together,
    assert needed > SMALL_N_CTX + 60  # which cannot hold them to their ends
    assert [("length", 50)] * 6 == [(a.done.finish_reason, a.done.usage.completion_tokens) for a in answers]
    assert [50] * 6 == [sum(c.tokens for c in a.chunks) for a in answers]
    assert equal_count(alone, answers) >= 5  # one may meet a tie that rounding decides


def equal_count(alone, answers) -> int:
    """How many answers are the same as without company."""
    return sum(text == answer.text for text, answer in zip(alone, answers, strict=True))


# --- common beginnings ---


async def test_a_shared_beginning_outlives_who_computed_it(model):
    """When the one that computed a beginning leaves, those that share it go on unchanged."""
    request = raw(f"{COUNTS[1]} 14, 15, 16, 17,", max_tokens=40)
    alone = await ask(model, request)
    begun = asyncio.Event()
    running = asyncio.create_task(read_until_cancelled(model, replace(request, max_tokens=400), begun))
    await asyncio.wait_for(begun.wait(), ANSWER_LIMIT_S)
    events = model.generate(request)
    pieces = []
    async for event in events:
        if isinstance(event, Chunk):
            pieces.append(event.text)
            running.cancel()  # at the first piece; later calls change nothing

    assert alone.text == "".join(pieces)


async def read_until_cancelled(model, request, begun: asyncio.Event) -> None:
    """Keep a sequence running, and say when its prompt is computed."""
    async with contextlib.aclosing(model.generate(request)) as events:
        async for event in events:
            if isinstance(event, Chunk):
                begun.set()
