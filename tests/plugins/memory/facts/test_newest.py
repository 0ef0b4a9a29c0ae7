"""What is newer comes before what it takes the place of."""

from __future__ import annotations

import numpy as np
import pytest

from hoshikage import Memory
from hoshikage.plugins.memory.facts.newest import alike, asks_for_now, newness, pairs_of, raised, with_endings
from hoshikage.plugins.memory.rows import Row


def rows(*texts: str, role: str = "user") -> list[Row]:
    """Each said after the one before."""
    return [Row(n + 1, Memory("", text, float(n), role, "turn", f"s{n}"), 5) for n, text in enumerate(texts)]


def floats(*values: float):
    return np.array(values, dtype=np.float32)


def test_a_newer_one_is_as_good_as_the_older():
    """One that was better already stays as it is."""
    assert [5, 5, 7] == list(raised(floats(5, 1, 7), [(0, 1), (1, 2)], []))


def test_of_those_alike_the_newest_is_the_best():
    """The scores stay, and change their places."""
    assert [1, 2, 3, 9] == list(raised(floats(3, 1, 2, 9), [], [[0, 1, 2]]))


@pytest.mark.parametrize(
    ("texts", "groups"),
    [
        (("It costs 30 yen.", "It costs 45 yen.", "It costs nothing."), [[0, 1]]),
        (("She lives in Rome.", "She lives in Paris."), [[0, 1]]),
        (("車はプリウスです", "車はフィットです"), [[0, 1]]),
        (("It costs 30 yen.", "It weighs 30 kilograms."), []),
        (("1" + "x" * 300, "2" + "x" * 300), []),
    ],
)
def test_texts_that_differ_in_a_value_are_alike(texts, groups):
    """Numbers, names and words in katakana; long ones are no statements."""
    assert groups == alike(rows(*texts))


def test_what_an_assistant_says_is_not_alike():
    """It explains the same to everybody."""
    assert [] == alike(rows("It costs 30 yen.", "It costs 45 yen.", role="assistant"))


def test_pairs_are_places():
    """What is no candidate is in none."""
    assert [(0, 2)] == pairs_of(rows("a", "b", "c"), {1: [3, 99], 50: [1]})


def test_what_ended_later_goes_along():
    """Not what ended before it was spoken of, nor what an assistant speaks of."""
    found = with_endings({1: [7]}, rows("The bakery is loud.", "Nothing."), [(9, "bakery"), (1, "bakery"), (8, "gym")])

    assert {1: [7, 9]} == found
    assert {} == with_endings({}, rows("The bakery is loud.", role="assistant"), [(9, "bakery")])


@pytest.mark.parametrize(
    ("question", "now"),
    [
        ("Where do I live now?", True),
        ("Am I still vegetarian?", True),
        ("今はどこに住んでる?", True),
        ("最近のお昼は?", True),
        ("Where do I live?", False),
        ("Do I know Nowak?", False),
        ("どこに住んでる?", False),
    ],
)
def test_questions_for_now(question, now):
    """They say so."""
    assert now is asks_for_now(question)


def test_newness():
    """Words of a change and age count alike; age only for what fits, and nothing of an assistant."""
    found = newness(rows("I like tea.", "I like tea.", "I like coffee now.", "It fits not."), floats(1, 1, 1, 0))

    assert pytest.approx([0, 1 / 6, 5 / 6, 0]) == list(found)
    assert [0, 0] == list(newness(rows("今は", "今は", role="assistant"), floats(1, 1)))
