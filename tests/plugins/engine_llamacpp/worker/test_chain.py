"""llama.cpp's samplers, as a request's numbers ask for them."""

from __future__ import annotations

import math

import llama_cpp
import pytest

from hoshikage.plugins.engine_llamacpp.frames import SamplingParams
from hoshikage.plugins.engine_llamacpp.worker.chain import build_chain, is_greedy
from tests.plugins.engine_llamacpp import tiny

pytestmark = pytest.mark.model

GREEDY = {"temperature": 0.0}
OPEN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
RECKLESS = [
    *({"repeat_penalty": number} for number in (0.0, -1.0, math.inf, math.nan)),
    *({"frequency_penalty": number} for number in (math.inf, math.nan)),
    {"repeat_penalty": 1.1, "repeat_last_n": 10**9},
    {"repeat_penalty": 1.1, "repeat_last_n": -5},
    {"dry_multiplier": 1.0, "dry_penalty_last_n": 10**9},
    {"dry_multiplier": 1.0, "dry_base": 1e30, "dry_allowed_length": -5},
    {"dry_multiplier": math.nan},
    {"dry_multiplier": 1.0, "dry_sequence_breakers": ()},
    {"dry_multiplier": 1.0, "dry_sequence_breakers": ("", "\0", "a" * 1000, *map(str, range(1000)))},
    *({"temperature": number} for number in (math.inf, math.nan, 1e-30)),
    *({"top_p": number} for number in (-1.0, math.nan)),
    *({"min_p": number} for number in (5.0, math.nan)),
    *({"typical_p": number} for number in (-1.0, math.nan)),
    {"top_k": 2**31 - 1},
    *({"xtc_probability": 1.0, "xtc_threshold": number} for number in (-1.0, 0.0, math.nan)),
    *({"mirostat": kind, "mirostat_tau": tau} for kind in (1, 2) for tau in (0.0, -5.0, math.nan)),
    *({"mirostat": kind, "mirostat_eta": 1e30} for kind in (1, 2, 3)),
    *({"logit_bias": {5: number}} for number in (math.inf, -math.inf, math.nan)),
    {"logit_bias": dict.fromkeys(range(tiny.N_VOCAB), -math.inf)},
    {"logit_bias": dict.fromkeys(range(tiny.N_VOCAB), -math.inf), "temperature": 0.0},
]


@pytest.fixture
def chain(letters):
    """Build chains that are freed at the end; each is a function that chooses a token by its name."""
    built = []

    def chain(prompt: str = "", **numbers):
        built.append(build_chain(SamplingParams(seed=1, **numbers), model=letters.model, prompt=letters.ids(prompt)))
        return lambda: letters.model.piece(
            llama_cpp.llama_sampler_sample(built[-1], letters.model.context, 0), special=True
        ).decode("utf-8", "replace")

    yield chain
    for one in built:
        llama_cpp.llama_sampler_free(one)


@pytest.fixture
def want(letters):
    """Make some letters likely, the first one most."""
    return lambda text: letters.want(*(letters.ids(letter)[-1] for letter in text))


def names_of(sequence) -> list[str]:
    """The links of a chain."""
    count = llama_cpp.llama_sampler_chain_n(sequence)
    links = (llama_cpp.llama_sampler_chain_get(sequence, n) for n in range(count))
    return [llama_cpp.llama_sampler_name(link).decode().lstrip("+?") for link in links]


def test_the_order_is_that_of_llama_cpp(letters):
    """Requests with the same numbers give there and here the same distribution."""
    everything = SamplingParams(
        logit_bias={5: 1.0}, repeat_penalty=1.1, dry_multiplier=1.0, typical_p=0.9, xtc_probability=0.5
    )
    sequence = build_chain(everything, model=letters.model, prompt=[])

    order = ["logit-bias", "penalties", "dry", "top-k", "typical", "top-p", "min-p", "xtc", "temp", "dist"]
    assert order == names_of(sequence)
    llama_cpp.llama_sampler_free(sequence)


def test_mirostat_takes_the_place_of_what_cuts_off(letters):
    """It chooses by the surprise of tokens, so it wants to see them all."""
    sequence = build_chain(SamplingParams(mirostat=2), model=letters.model, prompt=[])

    assert ["temp", "mirostat-v2"] == names_of(sequence)
    llama_cpp.llama_sampler_free(sequence)


def test_numbers_that_change_nothing_cost_nothing(letters):
    """Their samplers would look at the whole vocabulary for every token."""
    sequence = build_chain(SamplingParams(**OPEN), model=letters.model, prompt=[])

    assert ["temp", "dist"] == names_of(sequence)
    llama_cpp.llama_sampler_free(sequence)


def test_without_temperature_the_likeliest_is_chosen(chain, want):
    """Every time."""
    choose = chain(**GREEDY)
    want("xyz")

    assert ["x"] * 10 == [choose() for _ in range(10)]


def test_bias_is_added(chain, want, letters):
    """To the logits, before everything else."""
    choose = chain(**GREEDY, logit_bias={letters.ids("x")[-1]: -100.0})
    want("xyz")

    assert "y" == choose()


def test_no_token_ends_an_answer_that_must_not_end(chain, letters):
    """None of them: chat models have several."""
    choose = chain(**GREEDY, ignore_eos=True)
    letters.want(tiny.IM_END, tiny.EOS, letters.ids("x")[-1])

    assert "x" == choose()


def test_penalties_know_the_prompt(chain, want):
    """As far as they look back."""
    want("xyz")

    assert "y" == chain("x", **GREEDY, presence_penalty=10.0)()
    assert "x" == chain("xabc", **GREEDY, presence_penalty=10.0, repeat_last_n=3)()
    assert "x" == chain("x", **GREEDY, presence_penalty=10.0, repeat_last_n=0)()


def test_penalties_know_what_was_said(chain, want):
    """What was chosen once is less likely the next time."""
    choose = chain(**GREEDY, frequency_penalty=6.0)
    want("xyz")

    assert ["x", "y", "x"] == [choose() for _ in range(3)]


def test_dry_knows_the_prompt(chain, want):
    """A letter that would go on with a repetition is avoided, unless a breaker stands in between."""
    want("xyz")

    dry = {**GREEDY, "dry_multiplier": 5.0}
    assert "y" == chain("abcx1234abc", **dry)()
    assert "x" == chain("abcx1234abc", **dry, dry_penalty_last_n=5)()
    assert "x" == chain("abcx1234abc", **dry, dry_sequence_breakers=("c",))()


def test_xtc_drops_the_likeliest(chain, letters):
    """All but the least likely of those over the threshold."""
    choose = chain(**OPEN, xtc_probability=1.0, xtc_threshold=0.1)
    x, y = letters.ids("xy")[-2:]
    letters.logits[:] = -20
    letters.logits[[x, y]] = [10, 9.5]

    assert {"y"} == {choose() for _ in range(20)}


def test_top_k_keeps_the_k_likeliest(chain, letters):
    """However hot the rest is."""
    choose = chain(temperature=50.0, top_k=2, top_p=1.0, min_p=0.0)
    letters.want(*letters.ids("xyz")[-3:])

    assert {"x", "y"} == {choose() for _ in range(50)}


@pytest.mark.parametrize("numbers", RECKLESS, ids=lambda numbers: str(numbers)[:60])
def test_no_number_ends_the_process(chain, letters, numbers):
    """Requests are checked before, but llama.cpp aborts too easily to rely on it."""
    letters.roll()
    choose = chain("abcabc", **numbers)

    assert all(isinstance(choose(), str) for _ in range(5))


@pytest.mark.parametrize(
    ("numbers", "greedy"),
    [
        (GREEDY, True),
        ({**GREEDY, "top_k": 5, "repeat_last_n": 7, "mirostat": 2}, True),
        ({"temperature": 0.1}, False),
        ({**GREEDY, "logit_bias": {1: 1.0}, "ignore_eos": True}, True),
        ({**GREEDY, "repeat_penalty": 1.1}, False),
        ({**GREEDY, "dry_multiplier": 1.0}, False),
    ],
)
def test_greedy_is_recognised(numbers, greedy):
    """It needs no chain at all, only the biases."""
    assert greedy == is_greedy(SamplingParams(**numbers))
