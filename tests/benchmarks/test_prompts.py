"""Prompts of an exact length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.prompts import chatml, common_prefix, fitted, tag, users_of_one_system


def count(text: str) -> int:
    """A tokenizer in which every word and every line break is a token."""
    return len(text.replace("\n", " \n ").replace("<|", " <|").replace("|>", "|> ").split(" "))


def test_chatml_ends_where_the_answer_begins():
    """The prompt is what the template of a ChatML model writes."""
    expected = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"

    assert expected == chatml((("system", "Be kind."), ("user", "Hi")))


@given(st.integers(min_value=5, max_value=300), st.integers())
def test_fitted_text_has_the_length_that_was_asked_for(target: int, seed: int):
    """Filler is added until the number of tokens is exact."""

    def whole(filler: str) -> str:
        return f"one two {filler}"

    assert target == count(whole(fitted(whole, count, target, seed=seed)))


def test_fitting_ends_where_no_exact_length_exists():
    """A word of two tokens where one is missing must not keep the loop going."""
    text = fitted(str, lambda t: 2 * len(t.split()), 7, seed=1)

    assert len(text.split()) in {3, 4}


@pytest.mark.parametrize("n_users", [1, 4, 32])
def test_users_share_what_they_should(n_users: int):
    """All prompts have their length, and differ from the first token of the question on."""
    users = users_of_one_system(n_users, count, shared_tokens=60, prompt_tokens=90, seed=3)

    assert {90} == {count(chatml(messages)) for messages in users}
    assert 1 == len({messages[0] for messages in users})
    assert n_users == len({messages[1][1].split()[0] for messages in users})


def test_another_seed_begins_otherwise():
    """Nothing that a server keeps of one round helps it in the next."""
    assert tag(1).split()[0:2] != tag(2).split()[0:2]
    assert tag(1) == tag(1)


@given(
    st.lists(st.integers(0, 3), max_size=5), st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=4)
)
def test_common_prefix_is_the_longest(prefix: list[int], rests: list[list[int]]):
    """Everybody begins with it, and with no more."""
    sequences = [prefix + rest for rest in rests]
    n = common_prefix(sequences)

    assert n >= len(prefix)
    assert 1 == len({tuple(s[:n]) for s in sequences})
    assert any(len(s) == n for s in sequences) or len({s[n] for s in sequences}) > 1
