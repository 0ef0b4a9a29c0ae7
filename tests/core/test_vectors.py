"""Vectors of the length that was asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage import Embeddings
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.vectors import check_dimensions, shortened

NUMBERS = st.floats(-1, 1, allow_subnormal=False)


def test_vectors_are_cut_and_have_length_1_again():
    """The first numbers stay, in their proportion, and make a vector of length 1; the count stays."""
    made = shortened(Embeddings(((0.48, 0.64, 0.6), (0.0, 1.0, 0.0)), 7), 2)

    assert 7 == made.prompt_tokens
    assert [pytest.approx((0.6, 0.8)), (0.0, 1.0)] == list(made.vectors)


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.data())
def test_cut_vectors_have_length_1(numbers: list[float], data: st.DataObject):
    """Whatever is kept has length 1, unless it is nothing but zeros."""
    size = data.draw(st.integers(1, len(numbers)))
    (vector,) = shortened(Embeddings((tuple(numbers),), 1), size).vectors

    assert size == len(vector)
    assert math.isclose(1.0, math.hypot(*vector)) if any(numbers[:size]) else not any(vector)


@pytest.mark.parametrize(("vectors", "dimensions"), [(((0.6, 0.8),), None), ((), 3)])
def test_nothing_to_cut(vectors: tuple[tuple[float, ...], ...], dimensions: int | None):
    """Without a length, or without vectors, they are as the engine made them."""
    made = Embeddings(vectors, 1)

    assert made is shortened(made, dimensions)


def test_vectors_that_are_too_short_are_refused():
    """More numbers than there are cannot be had."""
    with pytest.raises(InvalidRequest, match="dimensions is 3, but the model's vectors have 2") as error:
        shortened(Embeddings(((0.6, 0.8),), 1), 3)

    assert "dimensions" == error.value.param


@pytest.mark.parametrize(("wanted", "available"), [(None, 0), (None, 64), (1, 64), (64, 64), (9999, 0)])
def test_possible_lengths(wanted: int | None, available: int):
    """A length up to that of the model's vectors may be asked for; any, where that is unknown."""
    check_dimensions(wanted, available)


@pytest.mark.parametrize(("wanted", "available"), [(0, 64), (-1, 0), (65, 64)])
def test_impossible_lengths(wanted: int, available: int):
    """A length below 1 or over that of the model's vectors is refused."""
    with pytest.raises(InvalidRequest, match=f"dimensions is {wanted}"):
        check_dimensions(wanted, available)
