"""How long guesses are, and what looking up guesses."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.engine_llamacpp.worker.speculation import NGRAM, Pace, PromptLookup


def test_guesses_grow_while_they_are_right():
    """Each guess that is right as a whole doubles the next one, up to the longest."""
    pace = Pace(longest=32)
    lengths = []
    for _ in range(5):
        lengths.append(pace.next_length())
        pace.record(lengths[-1], lengths[-1])

    assert [4, 8, 16, 32, 32] == lengths


def test_guesses_shrink_while_they_are_wrong_and_then_rest():
    """A text that does not repeat soon costs nothing any more."""
    pace = Pace(longest=32)
    lengths = [guess_wrong(pace) for _ in range(6)]

    assert [4, 2, 1, 0, 0, 0] == lengths


def test_each_rest_is_longer_than_the_last():
    """Where guesses stay wrong, they are tried ever more seldom."""
    pace = Pace(longest=8)
    lengths = [guess_wrong(pace) for _ in range(400)]
    tried = [i for i, length in enumerate(lengths) if length]
    rests = [b - a for a, b in itertools.pairwise(tried) if b - a > 1]

    assert sorted(rests) == rests
    assert 2 * rests[0] - 1 == rests[1]
    assert len(tried) < 12


def test_a_right_guess_after_a_rest_ends_the_caution():
    """When the text begins to repeat, guesses grow again."""
    pace = Pace(longest=8)
    while guess_wrong(pace):
        pass
    while not (length := pace.next_length()):
        pass
    pace.record(length, length)

    assert 2 == pace.next_length()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 64)), max_size=200), st.integers(1, 64))
def test_a_length_is_always_within_its_bounds(outcomes, longest):
    """Whatever comes of the guesses, none is longer than allowed or negative."""
    pace = Pace(longest)
    for right, accepted in outcomes:
        length = pace.next_length()
        assert 0 <= length <= longest
        if length:
            pace.record(length, length if right else min(accepted, length))


def test_what_followed_before_is_guessed_again():
    """The tokens after the last place where the same few tokens stood."""
    lookup = PromptLookup()
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4]

    assert [5, 6, 7] == lookup.draft(text, 3)


def test_the_last_place_counts():
    """Of two continuations the later one is guessed."""
    assert [7] == PromptLookup().draft([1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 7, 0, 1, 2, 3, 4], 1)


def test_a_text_that_does_not_repeat_gives_no_guess():
    """Nothing is guessed from fewer tokens than make a match."""
    assert [] == PromptLookup().draft(list(range(50)), 5)
    assert [] == PromptLookup().draft([1], 5)


@given(st.lists(st.integers(0, 1), max_size=80), st.integers(1, 10))
def test_a_guess_stands_in_the_text_after_its_own_context(tokens, step):
    """Growing token by token or at once: every guess is a continuation that the text has seen."""
    lookup = PromptLookup()
    for end in [*range(0, len(tokens), step), len(tokens)]:
        text = tokens[:end]
        guess = lookup.draft(text, 4)
        if guess:
            wanted = [*text[-NGRAM:], *guess]
            assert any(text[i : i + len(wanted)] == wanted for i in range(len(text) - len(guess) - NGRAM + 1))


def guess_wrong(pace: Pace) -> int:
    """One step in which a guess, if there is one, is wrong."""
    length = pace.next_length()
    if length:
        pace.record(length, 0)
    return length
