"""The bare loop and the tokenizer, on the real model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.answers import Work
from benchmarks.contestants import Bare, Setup
from benchmarks.prompts import chatml, common_prefix, users_of_one_system
from benchmarks.tokenizer import Tokenizer

pytestmark = pytest.mark.model

TOKENS = 8


@pytest.fixture(scope="module")
def tokenizer(smollm2_path: Path) -> Tokenizer:
    return Tokenizer(smollm2_path)


@pytest.fixture
async def bare(smollm2_path: Path, tmp_path: Path) -> AsyncIterator[Bare]:
    loop = Bare(Setup(smollm2_path, tmp_path, n_ctx=1024, n_parallel=4))
    await loop.start()
    yield loop
    await loop.stop()


def test_prompts_have_their_length_in_the_models_own_tokens(tokenizer: Tokenizer):
    """51 tokens, of which exactly 26 are shared."""
    users = users_of_one_system(32, tokenizer.count, shared_tokens=26, prompt_tokens=51, seed=5)
    prompts = [tokenizer.tokenize(chatml(messages)) for messages in users]

    assert {51} == {len(prompt) for prompt in prompts}
    assert 26 == common_prefix(prompts)


def test_pieces_are_the_prompt(tokenizer: Tokenizer):
    """Nothing is lost between text and tokens, special ones included."""
    text = chatml((("system", "Be kind."), ("user", "Grüße, 世界")))

    assert text.encode() == b"".join(tokenizer.pieces(text))


async def test_the_bare_loop_answers_together_what_it_answers_alone(bare: Bare, tokenizer: Tokenizer):
    """Sharing the beginning changes no text, and the counts are exact."""
    # What comes next is plain, so that floating-point sums of another batch shape do not decide it.
    system = ("system", "You repeat what the user says, word for word, and nothing else.")
    said = ("one two three four five six seven", "Monday Tuesday Wednesday Thursday", "a b c d e f g h")
    works = [Work((system, ("user", f"Repeat: {words}")), TOKENS) for words in said]
    together = await bare.answer(works)
    alone = [(await bare.answer([work]))[0] for work in works]

    assert [answer.text for answer in alone] == [answer.text for answer in together]
    for work, answer in zip(works, together, strict=True):
        assert tokenizer.count(chatml(work.messages)) == answer.prompt_tokens
        assert TOKENS == answer.completion_tokens == len(answer.times)
        assert answer.began < answer.times[0] <= answer.ended
