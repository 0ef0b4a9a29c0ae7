"""The part of a long memory that fits a question."""

from __future__ import annotations

import time

import pytest

from hoshikage.plugins.memory.block import tokens_of
from hoshikage.plugins.memory.passages import passage_of

FILLER = "The weather was fine and nobody said much about it. "
LONG = FILLER * 30 + "My cat Mikan eats only tuna. " + FILLER * 30
CODE = "```python\ndef mikan():\n    return 'tuna'\n```"


def test_the_sentences_around_what_is_asked_come():
    """Marked where something was left out, in their order, and within the room."""
    passage = passage_of(LONG, "What does my cat eat?", tokens=60)

    assert "My cat Mikan eats only tuna." in passage
    assert passage.startswith("… The weather")
    assert passage.endswith("about it. …")
    assert tokens_of(passage) <= 60


@pytest.mark.parametrize("begin", [True, False])
def test_nothing_is_marked_where_nothing_is_missing(begin):
    """At the beginning and at the end."""
    text = "My cat eats tuna. " + FILLER * 20 if begin else FILLER * 20 + "My cat eats tuna."
    passage = passage_of(text, "What does my cat eat?", tokens=40)

    assert (not begin, begin) == (passage.startswith("…"), passage.endswith("…"))


def test_the_rarer_word_decides():
    """One that is in every sentence tells nothing."""
    text = "The cat sleeps. " * 30 + "The cat likes a violin. " + "The cat sleeps. " * 30

    assert "violin" in passage_of(text, "Which cat has a violin?", tokens=20)


def test_in_japanese():
    """Without any space between words."""
    text = "今日は天気がよかったです。" * 30 + "猫のミカンはマグロしか食べません。" + "今日は天気がよかったです。" * 30

    assert "猫のミカンはマグロしか食べません。" in passage_of(text, "ミカンは何を食べる?", tokens=50)


def test_code_stays_whole():
    """Where there is room for it."""
    assert CODE in passage_of(f"{FILLER * 30}\n{CODE}\n{FILLER * 30}", "the function mikan", tokens=40)


@pytest.mark.parametrize(
    "text", ["mikan " * 3, "x" * 5000 + " mikan " + "y" * 5000, "あ" * 3000 + "蜜柑" + "い" * 3000]
)
def test_one_sentence_that_is_too_long_is_cut(text):
    """Around the first word of the question."""
    passage = passage_of(text, "mikan 蜜柑", tokens=50)

    assert tokens_of(passage) <= 50
    assert "mikan" in passage or "蜜" in passage


@pytest.mark.parametrize("question", ["", "?", "the of and"])
def test_without_a_word_in_the_question(question):
    """The beginning is as good as any part."""
    assert passage_of(LONG, question, tokens=30).startswith("The weather")


def test_an_empty_text_has_no_part():
    """As it has no sentence."""
    assert "" == passage_of("  \n", "cat", tokens=30)


def test_a_giant_beside_many_small_ones_is_measured_once():
    """How long it takes goes by the length of the text, not by its square."""
    text = "a.\n" * 400 + "The cat.\n" + "x" * 1_000_000
    began = time.perf_counter()
    found = passage_of(text, "cat", tokens=400)

    assert "The cat." in found
    assert time.perf_counter() - began < 1.0  # two to three seconds, where it is measured for each of the others
