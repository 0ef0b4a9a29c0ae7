"""Greedy answers are the same however they are computed: cached, batched, guessed ahead, or computed twice.

See `equality.py` for what counts as the same. The weights are 16-bit numbers: with quantised ones llama.cpp rounds each
layer's input to 8 bits, which lets differences in the last digit grow beyond any bound that would say something about
this program; see `design.md`. `HOSHIKAGE_EQUALITY_PROMPTS` sets how many prompts are tried.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.plugins.engine_llamacpp.equality import alone, check, loaded, together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from hoshikage import LoadedModel
    from tests.plugins.engine_llamacpp.answers import Answer

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

N_PROMPTS = int(os.environ.get("HOSHIKAGE_EQUALITY_PROMPTS", "16"))

SAYING = """
river stone the of a garden once upon time people said that winter light over house and music never small machine
learned to sing under old bridge where three cats sleep while rain falls quietly on green hills
"""
WORDS = SAYING.split()


@dataclass(frozen=True)
class Pair:
    """Two prompts that begin alike."""

    first: str
    second: str


class Reference:
    """The answers of a model that computes each prompt by itself; it computes the same one only once."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._known: dict[str, Answer] = {}

    async def answers(self, prompts: Sequence[str]) -> list[Answer]:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        self._known |= zip(new, await alone(self._model, new), strict=True)
        return [self._known[prompt] for prompt in prompts]


def pairs() -> list[Pair]:
    """Random prompts, the same in every run."""
    dice = random.Random(20)
    made = []
    for _ in range(N_PROMPTS // 2):
        common = [dice.choice(WORDS) for _ in range(dice.randint(10, 40))]
        first, second = ([dice.choice(WORDS) for _ in range(dice.randint(2, 15))] for _ in range(2))
        made.append(Pair(" ".join([*common, *first]), " ".join([*common, *second])))
    return made


def repetitive() -> list[str]:
    """Random prompts that say everything twice, and begin to say it again."""
    dice = random.Random(21)
    texts = [" ".join(dice.choice(WORDS) for _ in range(12)) for _ in range(N_PROMPTS // 2)]
    return [f"{text}. {text}. {' '.join(text.split()[:4])}" for text in texts]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(smollm2_f16: Path) -> AsyncIterator[Reference]:
    """A worker that keeps and shares nothing; it is asked one question at a time."""
    async with loaded(smollm2_f16, scope="off") as model:
        yield Reference(model)


async def test_a_cached_beginning_changes_no_answer(reference, smollm2_f16):
    """The second prompt of each pair takes over what the first one computed, and is answered as without it."""
    prompts = [prompt for pair in pairs() for prompt in (pair.first, pair.second)]
    expected = await reference.answers(prompts)
    async with loaded(smollm2_f16) as model:
        found = await alone(model, prompts)

    assert all(a.done.usage.cached_tokens >= 9 for a in found[1::2])
    assert not any(a.done.usage.cached_tokens for a in expected)
    check(expected, found)


async def test_company_in_the_batch_changes_no_answer(reference, smollm2_f16):
    """Eight at a time are answered as each one alone."""
    prompts = [pair.first for pair in pairs()]
    expected = await reference.answers(prompts)
    async with loaded(smollm2_f16) as model:
        found = await together(model, prompts)

    check(expected, found)


async def test_giving_up_the_cells_changes_no_answer(reference, smollm2_f16):
    """In a cache that is too small for all, answers are interrupted and computed again, and lose nothing."""
    prompts = [pair.second for pair in pairs()]
    expected = await reference.answers(prompts)
    async with loaded(smollm2_f16, n_ctx=256) as model:
        found = await together(model, prompts)

    assert sum(a.done.usage.preemptions for a in found) > 0
    check(expected, found)


async def test_guesses_by_looking_up_change_no_answer(reference, smollm2_f16):
    """Guesses that are right save steps; those that are wrong leave no trace."""
    prompts = [*repetitive(), *(pair.first for pair in pairs())]
    expected = await reference.answers(prompts)
    async with loaded(smollm2_f16, lookup_tokens=16) as model:
        found = await alone(model, prompts)
        counters = model.counters

    assert 0 < counters.accepted_tokens < counters.drafted_tokens
    assert sum(a.done.usage.accepted_tokens for a in found) == counters.accepted_tokens
    check(expected, found)


async def test_guesses_of_a_draft_model_change_no_answer(reference, smollm2_f16):
    """Several callers at once, guessed for by a second model; here the same one, so nearly all is right."""
    prompts = [pair.first for pair in pairs()]
    expected = await reference.answers(prompts)
    async with loaded(smollm2_f16, draft_model=str(smollm2_f16), draft_tokens=4) as model:
        found = await together(model, prompts)
        counters = model.counters

    assert counters.accepted_tokens > counters.drafted_tokens / 2
    check(expected, found)
