"""Probabilities of chosen tokens and of the likeliest ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hoshikage.plugins.engine_llamacpp.worker.logprobs import LOWEST, logprob_of
from tests.plugins.engine_llamacpp.worker.dice import probabilities

LOGITS = np.array([1.0, 3.0, -2.0, 3.0, 0.5], np.float32)


def name(token: int) -> bytes:
    """What the tests call a token."""
    return b"t%d" % token


def test_probabilities_are_those_of_the_softmax():
    """At temperature 1, over the whole vocabulary."""
    found = logprob_of(LOGITS, 4, 0, name)

    assert b"t4" == found.token
    assert math.log(probabilities(LOGITS)[4]) == pytest.approx(found.logprob, abs=1e-6)
    assert [] == found.top


def test_the_likeliest_come_first():
    """Equally likely ones in the order of their numbers; the chosen one need not be among them."""
    found = logprob_of(LOGITS, 2, 3, name)

    assert [b"t1", b"t3", b"t0"] == [alternative.token for alternative in found.top]
    assert found.top[0].logprob == found.top[1].logprob > found.top[2].logprob > found.logprob


def test_no_more_alternatives_than_tokens():
    """A small vocabulary is named as a whole, and its probabilities sum up to 1."""
    found = logprob_of(LOGITS, 0, 20, name)

    assert len(LOGITS) == len(found.top)
    assert sum(math.exp(alternative.logprob) for alternative in found.top) == pytest.approx(1)


def test_impossible_tokens_have_a_number():
    """JSON has no minus infinity."""
    found = logprob_of(np.array([0.0, -np.inf], np.float32), 1, 2, name)

    assert LOWEST == found.logprob == found.top[1].logprob


def test_large_logits_do_not_overflow():
    """Their exponentials would."""
    found = logprob_of(np.array([5000.0, 4999.0], np.float32), 0, 0, name)

    assert -math.log1p(math.exp(-1)) == pytest.approx(found.logprob, abs=1e-5)
