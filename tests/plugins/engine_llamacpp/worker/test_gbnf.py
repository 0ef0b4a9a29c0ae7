"""GBNF through llama.cpp's own sampler."""

from __future__ import annotations

import random

import pytest

from hoshikage.plugins.engine_llamacpp.worker import gbnf
from hoshikage.plugins.engine_llamacpp.worker.gbnf import GbnfState
from hoshikage.plugins.engine_llamacpp.worker.refusal import ConstraintFailed, ConstraintRefused
from tests.plugins.engine_llamacpp import tiny

pytestmark = pytest.mark.model

# What a grammar is made of, and what it could be broken with; one to a line would take a page.
FRAGMENTS = [
    *("root ::= ", "x ::= ", "root", "x", "::=", '"a"', '""', "[a-z]", ".", "<[3]>"),
    *("(", ")", "|", "*", "+", "?", "{2}", "{0,3}", "{3,1}", " ", "\n", "\r\n"),
    *('"', "[", "]", "{", "#", "\\", "<", "!", "é"),
]


@pytest.fixture
def start(letters):
    """Begin an answer of a form; all states are closed at the end."""
    states = []

    def start(source: str) -> GbnfState:
        states.append(GbnfState(source, letters.model))
        return states[-1]

    yield start
    for state in states:
        state.close()
        state.close()


def allowed(letters, state: GbnfState) -> set[str]:
    """The tokens that may come next, by name."""
    return {letters.text([int(token)]).decode() for token in state.allowed() if token < tiny.N_VOCAB}


def test_only_what_the_grammar_says_may_come(letters, start):
    """And the end where the answer is complete."""
    state = start('root ::= "yes" | "n" [o0]+')

    assert {"y", "n"} == allowed(letters, state)
    n, o, x = letters.ids("nox")[-3:]
    assert state.try_accept(n)
    assert not state.try_accept(x)
    assert {"o", "0"} == allowed(letters, state)
    assert state.try_accept(o)
    assert {"o", "0", "</s>", "<|im_end|>"} == allowed(letters, state)
    assert state.try_accept(tiny.EOS)


def test_the_end_does_not_come_early(start):
    """llama.cpp would abort if it were told of it."""
    state = start('root ::= "ab"')

    assert not state.try_accept(tiny.EOS)
    assert not state.try_accept(tiny.IM_END)


def test_it_can_begin_again(letters, start):
    """After thinking that looked like the form."""
    state = start('root ::= "ab"')
    (a,) = letters.ids("a")[-1:]

    assert state.try_accept(a)
    assert not state.try_accept(a)
    state.restart()
    assert state.try_accept(a)


@pytest.mark.parametrize("name", ["<no-such-token>", "<[9999999]>", "<[99999999999999999999]>", "<[x]>"])
def test_unknown_tokens_are_refused(start, name):
    """A token that does not exist never comes."""
    with pytest.raises(ConstraintRefused, match="no such token"):
        start(f"root ::= {name}")


def test_tokens_are_called_by_name_or_number(letters, start):
    """And only the token is meant, not its letters."""
    state = start(f"root ::= <|im_start|> <[{tiny.IM_START}]>")

    assert {"<|im_start|>"} == allowed(letters, state)
    assert state.try_accept(tiny.IM_START)
    assert {"<|im_start|>"} == allowed(letters, state)


def test_endless_readings_end_only_their_own_answer(letters, start, monkeypatch):
    """Each letter doubles the number of readings, and llama.cpp follows them all."""
    monkeypatch.setattr(gbnf, "LONGEST_MASK_S", 0.05)
    state = start('root ::= "a" root "b" | "a" root "c" | "x"')
    (a,) = letters.ids("a")[-1:]

    def say_and_look() -> None:
        while state.try_accept(a):
            state.allowed()

    with pytest.raises(ConstraintFailed, match="ambiguous"):
        say_and_look()


def test_garbage_harms_nobody(start):
    """Whatever is not refused gives a mask, and the process goes on."""
    dice = random.Random(1)
    taken = 0
    for _ in range(2000):
        source = "".join(dice.choices(FRAGMENTS, k=dice.randint(1, 12)))
        source = source if dice.random() < 0.2 else f"root ::= {source}"
        try:
            state = start(source)
        except ConstraintRefused:
            continue
        taken += 1
        state.allowed()

    assert 50 < taken
