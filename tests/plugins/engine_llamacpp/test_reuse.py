"""What is computed once is of use to others, on every kind of memory; on tiny models of each kind."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from hoshikage import Adapter, Sampling
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.answers import ask, raw
from tests.plugins.engine_llamacpp.equality import alone, check, loaded, question, together

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

SAYING = "the quick brown fox jumps over the lazy dog and then it sleeps all day long. "
WRITERS = {
    "attention": tiny.write_llama,
    "sliding window": tiny.write_sliding_window,
    "recurrent": tiny.write_recurrent,
    "hybrid": tiny.write_hybrid,
}
CUTTABLE = ("attention",)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WRITERS)
async def kind(request, tmp_path_factory) -> tuple[str, Path]:
    """One kind of memory, and a model that has it."""
    file = tmp_path_factory.mktemp("tiny") / "model.gguf"
    return request.param, WRITERS[request.param](file)


async def test_a_conversation_computes_only_what_is_new(kind):
    """A prompt that goes on from an earlier prompt and its answer takes over all of it, whatever the memory."""
    _, file = kind
    async with loaded(file) as model, loaded(file, scope="off") as reference:
        first = await ask(model, question(SAYING))
        longer = SAYING + first.text + " and then"
        found = await alone(model, [longer])
        expected = await alone(reference, [longer])

    usage = found[0].done.usage
    assert usage.prompt_tokens - len(" and then") - 1 <= usage.cached_tokens < usage.prompt_tokens
    check(expected, found)


async def test_a_prompt_that_leaves_another_one_halfway_is_answered_right(kind):
    """Memories that can be cut give the common part; others give nothing, and the answer is right all the same."""
    name, file = kind
    prompts = [SAYING + "abc", SAYING + "xyz"]
    async with loaded(file) as model, loaded(file, scope="off") as reference:
        found = await alone(model, prompts)
        expected = await alone(reference, prompts)

    cached = found[1].done.usage.cached_tokens
    assert cached > len(SAYING) - 2 if name in CUTTABLE else cached == 0
    check(expected, found)


async def test_those_who_arrive_together_compute_their_beginning_once(kind):
    """Whatever the memory, followers wait for the one that computes what they have in common."""
    _, file = kind
    beginning = 3 * SAYING  # in small steps, so that all have arrived before the first is through
    prompts = [beginning + word for word in ("one", "two", "three", "four")]
    async with loaded(file, n_batch=32) as model, loaded(file, scope="off") as reference:
        found = await together(model, prompts)
        expected = await alone(reference, prompts)

    assert 3 <= sum(a.done.usage.cached_tokens >= len(beginning) - 2 for a in found)
    check(expected, found)


async def test_several_answers_take_one_prefill(kind):
    """Of `n` answers one computes the prompt, and each is as it would be alone with its seed."""
    _, file = kind
    hot = raw(SAYING, max_tokens=8, sampling=Sampling(temperature=1.0, seed=7), n=3)
    async with loaded(file) as model:
        together_ = await ask(model, hot)
        counted = model.counters
        single = [await ask(model, replace(hot, n=1, sampling=Sampling(temperature=1.0, seed=7 + i))) for i in range(3)]

    texts = ["".join(c.text for c in together_.chunks if c.index == i) for i in range(3)]
    assert [a.text for a in single] == texts
    assert 3 == len(set(texts))
    assert 3 == len(together_.done.finish_reasons)
    assert 24 == together_.done.usage.completion_tokens
    assert counted.prefill_tokens <= together_.done.usage.prompt_tokens + 2


async def test_interrupted_answers_lose_nothing(kind):
    """In a cache that is too small for all, answers are computed again from where they were."""
    _, file = kind
    prompts = [f"{letter} {SAYING}" for letter in "abcdef"]
    async with loaded(file, n_ctx=512, max_num_seqs=6) as model, loaded(file, scope="off", max_num_seqs=1) as reference:
        found = await together(model, prompts, max_tokens=60)
        expected = await alone(reference, prompts, max_tokens=60)
        counters = model.counters

    assert counters.preemptions > 0
    assert (0, 0) == (counters.running, counters.cells_used)
    assert [60] * 6 == [a.done.usage.completion_tokens for a in found]
    # Weights at random choose closely: every second answer of this length holds a choice between two within 0.005.
    check(expected, found, most=4)


# --- scopes and adapters ---


async def test_callers_who_are_kept_apart_share_nothing(tmp_path):
    """With `prefix_cache.scope = "caller"` a prompt is computed again for someone else, and not for the same one."""
    file = tiny.write_llama(tmp_path / "model.gguf")
    async with loaded(file, scope="caller") as model:
        cached = [
            (await ask(model, question(SAYING, caller_key=key))).done.usage.cached_tokens for key in ("a", "b", "a")
        ]

    assert [0, 0] == cached[:2]
    assert cached[2] > len(SAYING) - 2


async def test_an_adapter_changes_the_answers_of_those_who_ask_for_it(tmp_path):
    """Callers with and without an adapter, at once: each gets the answer of the own adapter, as if alone."""
    file = tiny.write_llama(tmp_path / "model.gguf")
    tiny.write_lora(tmp_path / "haiku.gguf")
    haiku = (Adapter("haiku"),)
    async with loaded(file, adapters={"haiku": "haiku.gguf"}) as model:
        plain = await alone(model, [SAYING])
        adapted = await alone(model, [SAYING], adapters=haiku)
        beside = await asyncio.gather(*(together(model, [SAYING], adapters=a) for a in ((), haiku, (), haiku)))
        again = await alone(model, [SAYING], adapters=haiku)
        weak = await alone(model, [SAYING], adapters=(Adapter("haiku", 0.0),))

    assert plain[0].text != adapted[0].text
    check([*plain, *adapted] * 2, [answer for answers in beside for answer in answers])
    check(adapted, again)
    assert again[0].done.usage.cached_tokens > len(SAYING) - 2  # its own earlier text, not that of the plain model
    assert plain[0].text == weak[0].text


async def test_guesses_of_another_model_are_checked(tmp_path):
    """A draft model that is mostly right saves steps; where it is wrong, the answer is still the model's own."""
    file, draft = tiny.write_llama(tmp_path / "model.gguf"), tiny.write_draft(tmp_path / "draft.gguf")
    prompts = [f"{letter} {SAYING}" for letter in "abcd"]
    async with loaded(file, draft_model=str(draft)) as model, loaded(file, scope="off") as reference:
        found = await together(model, prompts, max_tokens=40)
        expected = await alone(reference, prompts, max_tokens=40)
        counters = model.counters

    assert 0 < counters.accepted_tokens < counters.drafted_tokens
    check(expected, found)
