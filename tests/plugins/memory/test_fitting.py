"""How well a memory fits: words and meaning together, less for what asks and for what an assistant said."""

from __future__ import annotations

import numpy as np
import pytest

from hoshikage.plugins.memory.fitting import fits_of


def fit(share, cosine=None, *, count=1000, asking=False, by_assistant=False):
    cosines = None if cosine is None else np.array([cosine], np.float32)
    share = np.array([share], np.float32)
    marks = {"asking": np.array([asking]), "by_assistant": np.array([by_assistant])}
    found = fits_of(share, cosines, 0.8, count=count, **marks)
    return pytest.approx(float(found[0]), abs=1e-4)


def test_words_alone():
    """Without an embedder it is the share of the question."""
    assert fit(0.4) == 0.4


def test_meaning_adds():
    """Halfway from related to the same is worth half of what meaning can be."""
    assert fit(0.1, 0.9) == 0.4


def test_far_in_meaning_takes_off():
    """A shared word of something else altogether is no fit, and never less than none."""
    assert fit(0.4, 0.75) == 0.25
    assert fit(0.1, 0.1) == 0.0


def test_no_vector_yet():
    """Until it has one, a memory is judged by its words."""
    assert fit(0.4, np.nan) == 0.4


def test_no_more_than_all():
    """All words and the very same meaning are 1."""
    assert fit(1.0, 1.0) == 1.0


def test_what_asks_and_what_an_assistant_said_fit_less():
    """Who asked the same once did not tell the answer."""
    assert fit(0.5, asking=True) == 0.35
    assert fit(0.5, by_assistant=True) == 0.4


def test_of_a_few_memories_less_is_enough():
    """Among three, none comes near by chance; what is far stays far."""
    three, thirty, many = (fit(0.0, 0.82, count=count).expected for count in (3, 30, 300))

    assert three > thirty > many == pytest.approx(0.06, abs=1e-4)
    assert fit(0.1, count=3) == 0.1 / 0.3
    assert fit(0.0, 0.7, count=3) == 0.0


def test_of_many_nothing_changes():
    """From some hundreds on, the most by chance hardly grows."""
    assert fit(0.2, 0.85, count=300) == fit(0.2, 0.85, count=100_000).expected
