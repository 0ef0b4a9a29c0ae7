"""Choosing tokens: freely, in a form, and around thinking."""

from __future__ import annotations

import json
from collections import Counter

import llama_cpp
import pytest

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.chain import build_chain
from hoshikage.plugins.engine_llamacpp.worker.constraint import Grammars
from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintFailed
from hoshikage.plugins.engine_llamacpp.worker.sampler import Sampler
from hoshikage.plugins.engine_llamacpp.worker.thinking import ThinkingState
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.worker.dice import probabilities

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore:llama_token_get_attr")]

BIASED = [
    {},
    {"ignore_eos": True},
    {"logit_bias": {5: 2.0, 7: -3.0, 9: 100.0}},
    {"logit_bias": {11: -100.0, 12: 1.5}, "ignore_eos": True},
]
GREEDY = {"temperature": 0.0}
OPEN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
PERSON = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99}}, "required": ["age"]}
DRAWS = 4000


@pytest.fixture(scope="module")
def grammars(letters) -> Grammars:
    """Grammars over single letters."""
    return Grammars(letters.model)


@pytest.fixture
def begin(letters, grammars):
    """Build samplers that are closed at the end."""
    begun = []

    def begin(
        *, form: tuple[str, str] | None = None, thinks: frames.Thinking | None = None, tail="", logprobs=-1, **numbers
    ) -> Sampler:
        state = grammars.start(frames.Constraint(*form, "response_format"), ["<|im_start|>"]) if form else None
        thinking = ThinkingState(thinks, model=letters.model, prompt_tail=tail) if thinks else None
        params = frames.SamplingParams(**{"seed": 1, **numbers})
        begun.append(
            Sampler(params, model=letters.model, prompt=[1], constraint=state, thinking=thinking, logprobs=logprobs)
        )
        return begun[-1]

    yield begin
    for sampler in begun:
        sampler.close()
        sampler.close()


@pytest.fixture
def say(letters):
    """Let a model want one token of a text after the other; return what was chosen."""

    def say(sampler: Sampler, wanted: str | list[int], *, steps: int = 0) -> str:
        tokens = letters.ids(wanted) if isinstance(wanted, str) else wanted
        said, at = [], 0
        while at < len(tokens) and (not steps or len(said) < steps):
            letters.want(tokens[at])
            said.append(sampler.choose(0).token)
            at += said[-1] == tokens[at]
        return letters.text(said).decode()

    return say


# --- free text ---


@pytest.mark.parametrize("numbers", BIASED, ids=str)
def test_the_likeliest_is_the_one_that_llama_cpp_chooses(begin, letters, numbers):
    """The short way and llama.cpp's own samplers agree, and the logits stay as they are for those who read them."""
    sampler = begin(**GREEDY, **numbers)
    chain = build_chain(frames.SamplingParams(**GREEDY, **numbers), model=letters.model, prompt=[1])
    chosen, expected = [], []
    for _ in range(100):
        letters.roll()
        before = letters.logits.copy()
        chosen.append(sampler.choose(0).token)
        assert (before == letters.logits).all()
        expected.append(llama_cpp.llama_sampler_sample(chain, letters.model.context, 0))
    llama_cpp.llama_sampler_free(chain)

    assert expected == chosen


@pytest.mark.parametrize("numbers", [GREEDY, {}, OPEN, {"mirostat": 2}, {"mirostat": 1}, {"xtc_probability": 0.5}])
def test_the_same_seed_gives_the_same_answer(begin, letters, numbers):
    """With every way of choosing, also where a form makes it choose twice."""
    answers = []
    for form in (None, None, ("regex", "[a-z]{20}"), ("regex", "[a-z]{20}")):
        sampler = begin(form=form, **numbers)
        letters.__init__(letters.model, seed=3)
        tokens = []
        for _ in range(20):
            letters.roll()
            tokens.append(sampler.choose(0).token)
        answers.append(tokens)

    assert answers[0] == answers[1]
    assert answers[2] == answers[3]


def test_draws_follow_the_distribution(begin, letters):
    """At temperature 1, with nothing cut off, tokens come as often as the model says."""
    letters.roll()
    expected = probabilities(letters.logits)
    sampler = begin(**OPEN)

    counts = Counter(sampler.choose(0).token for _ in range(DRAWS))

    for token in expected.argsort()[-5:]:
        assert expected[token] == pytest.approx(counts[token] / DRAWS, abs=0.03)


def test_without_a_form_nothing_is_ever_finished(begin, say):
    """The model itself ends its answer."""
    sampler = begin(**GREEDY)

    assert "{}" == say(sampler, "{}").strip()
    assert not sampler.finished
    assert 0 == sampler.n_thinking


def test_probabilities_are_the_models_own(begin, letters):
    """Bias, penalties and temperature change what is chosen, not what the model thinks."""
    x, y = letters.ids("xy")[-2:]
    letters.want(x, y)
    expected = probabilities(letters.logits)

    chosen = begin(**GREEDY, logit_bias={x: -100.0}, logprobs=2).choose(0)

    assert y == chosen.token
    assert b"y" == chosen.logprob.token
    assert [b"x", b"y"] == [alternative.token for alternative in chosen.logprob.top]
    assert expected[x] == pytest.approx(2.718281828 ** chosen.logprob.top[0].logprob, abs=1e-5)
    assert begin(**GREEDY).choose(0).logprob is None


# --- forms ---


def test_a_form_is_kept_against_the_models_will(begin, letters):
    """Only what the form says is ever chosen."""
    sampler = begin(form=("json_schema", json.dumps(PERSON)), **GREEDY)

    answer = letters.text(letters.answer(sampler, max_tokens=400))

    assert json.loads(answer)["age"] <= 99


def test_the_end_of_a_form_is_the_end(begin, say):
    """As soon as nothing else could follow."""
    sampler = begin(form=("choice", '["no", "nothing"]'), **GREEDY)

    say(sampler, "no")
    assert not sampler.finished
    say(sampler, "thing", steps=10)
    assert sampler.finished


@pytest.mark.parametrize("numbers", [OPEN, {**OPEN, "mirostat": 2, "mirostat_tau": 50.0}])
def test_draws_in_a_form_follow_the_distribution(begin, letters, numbers):
    """The model's own, among what is allowed, however little of it that is."""
    a, b, c, x = letters.ids("abcx")[-4:]
    letters.logits[:] = -30
    letters.logits[[a, b, c, x]] = [3, 2, 1, 6]
    sampler = begin(form=("regex", "[ab]{9999}"), **numbers)

    counts = Counter(sampler.choose(0).token for _ in range(DRAWS))

    assert {a, b} == set(counts)
    assert 2.718281828 / 3.718281828 == pytest.approx(counts[a] / DRAWS, abs=0.03)


def test_what_top_k_would_drop_can_still_be_chosen(begin, say):
    """Where nothing of what it keeps is allowed, it looks at the allowed tokens alone."""
    sampler = begin(form=("regex", "[ab]"), temperature=1.0, top_k=1)

    assert say(sampler, "x", steps=1) in {"a", "b"}


def test_a_refused_token_leaves_no_trace(begin, letters):
    """The penalties only know what was said."""
    a, b, x = letters.ids("abx")[-3:]
    sampler = begin(form=("lark", 'start: "a" ("b" | "x")'), **GREEDY, presence_penalty=7.0)
    letters.want(x, a)
    assert a == sampler.choose(0).token
    letters.want(x, b)

    assert x == sampler.choose(0).token


def test_an_answer_that_must_not_end_ends_with_its_form(begin, letters):
    """Where only an end is allowed, no bias can keep it from coming."""
    sampler = begin(form=("gbnf", 'root ::= "a"'), **GREEDY, ignore_eos=True)
    letters.roll()

    chosen = [sampler.choose(0).token for _ in range(2)]

    assert letters.ids("a")[-1] == chosen[0]
    assert letters.model.ends_answer(chosen[1])


def test_a_form_without_a_way_on_ends_the_answer(begin, letters):
    """With an error of its own, that the loop can tell from a broken worker."""
    sampler = begin(form=("gbnf", r'root ::= "a" [\U7FFFFFFF]'), **GREEDY)
    letters.roll()
    sampler.choose(0)

    with pytest.raises(ConstraintFailed):
        sampler.choose(0)


# --- thinking ---

THINK = frames.Thinking("<think>", "</think>")
MARKS = frames.Thinking("<|im_start|>", "<|fim_prefix|>")


def test_a_form_begins_after_the_thinking(begin, say):
    """That the prompt has opened."""
    sampler = begin(form=("regex", "yes|no"), thinks=THINK, tail="<think>\n", **GREEDY)

    assert "no idea</think>yes" == say(sampler, "no idea</think>yes").replace(" no", "no")
    assert sampler.finished
    assert 8 <= sampler.n_thinking


@pytest.mark.parametrize("form", [("regex", "yes|no"), ("regex", "<tool>yes"), ("gbnf", 'root ::= "<tool>yes"')])
def test_the_model_can_open_its_thinking_in_a_form(begin, say, form):
    """At the beginning, whether or not the form begins with the same letter."""
    sampler = begin(form=form, thinks=THINK, **GREEDY)

    said = say(sampler, "<think>hm</think>" + ("yes" if form[1] == "yes|no" else "<tool>yes"))

    assert said.strip().startswith("<think>hm</think>")
    assert said.endswith("yes")


def test_a_model_that_does_not_think_answers_in_the_form(begin, say):
    """A form that begins like the marker is not mistaken for it."""
    sampler = begin(form=("regex", "<tool>yes"), thinks=THINK, **GREEDY)

    assert "<tool>yes" == say(sampler, "<tool>yes").strip()
    assert 0 == sampler.n_thinking


def test_a_begun_marker_is_completed(begin, letters):
    """Where the form does not allow its first letter, there is no other way on."""
    sampler = begin(form=("regex", "yes"), thinks=THINK, **GREEDY)
    letters.want(letters.ids("<")[-1])
    said = [sampler.choose(0).token]
    letters.want(letters.ids("x")[-1])

    said += [sampler.choose(0).token for _ in range(7)]

    assert "<think>x" == letters.text(said).decode().strip()


def test_an_answer_does_not_end_inside_of_its_thinking(begin, letters):
    """A form is still to come, so the thinking ends instead."""
    sampler = begin(form=("regex", "yes"), thinks=MARKS, tail="<|im_start|>", **GREEDY)
    letters.want(tiny.EOS)

    said = [sampler.choose(0).token]
    while not sampler.finished:
        said.append(sampler.choose(0).token)

    assert "<|fim_prefix|>yes" == letters.text(said).decode()


def test_without_a_form_an_answer_can_end_anywhere(begin, letters):
    """Also while it thinks."""
    sampler = begin(thinks=THINK, tail="<think>", **GREEDY)
    letters.want(tiny.EOS)

    assert tiny.EOS == sampler.choose(0).token


def test_a_budget_is_kept(begin, letters):
    """Forced tokens have probabilities as all others."""
    thinking = frames.Thinking("<|im_start|>", "<|fim_prefix|>", budget=2)
    sampler = begin(thinks=thinking, tail="<|im_start|>", logprobs=1, **GREEDY)
    letters.want(letters.ids("x")[-1])

    chosen = [sampler.choose(0) for _ in range(4)]

    assert "xx<|fim_prefix|>x" == letters.text([choice.token for choice in chosen]).decode()
    assert b"<|fim_prefix|>" == chosen[2].logprob.token
    assert [b"x"] == [alternative.token for alternative in chosen[2].logprob.top]
    assert 2 == sampler.n_thinking
