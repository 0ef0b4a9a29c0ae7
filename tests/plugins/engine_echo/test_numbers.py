"""Echo's vectors and scores."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.plugins.engine_echo.numbers import DIMENSIONS, score_of, vector_of


@given(st.text())
def test_vectors_have_one_length(text: str):
    """Whatever the text, its vector has the same number of numbers and length 1."""
    vector = vector_of(text)

    assert DIMENSIONS == len(vector)
    assert math.isclose(1.0, math.hypot(*vector))


def test_vectors_stay_the_same():
    """A text has the same vector in every process: it does not depend on Python's own hashes."""
    assert [0.0295, 0.0119, -0.0443] == [round(number, 4) for number in vector_of("hello")[:3]]


def test_unlike_texts_are_far_apart():
    """The vectors of different texts have little in common."""
    products = [sum(map(float.__mul__, vector_of(f"a{i}"), vector_of(f"b{i}"))) for i in range(50)]

    assert max(map(abs, products)) < 0.6


@pytest.mark.parametrize(
    ("query", "document", "score"),
    [
        ("red fox", "The RED fox.", 1.0),
        ("red fox", "a fox", 0.5),
        ("red fox", "foxes", 0.0),
        ("red red", "red", 1.0),
        ("", "red", 0.0),
        ("red", "", 0.0),
    ],
)
def test_score_is_the_share_of_common_words(query: str, document: str, score: float):
    """A document is as relevant as the share of the query's words in it; case and punctuation do not matter."""
    assert score == score_of(query, document)
