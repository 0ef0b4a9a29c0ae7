from __future__ import annotations

from typing import Any

import pytest

from hoshikage.plugins.routes_openai.inputs import several
from tests.plugins.routes_openai.made import refusal


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        ("", ("",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (["a", [1]], ("a", (1,))),
    ],
)
def test_the_four_ways_are_told_apart(given: Any, inputs: Any):
    """A list of numbers is one input, every other list one input for each item."""
    assert inputs == several(given, "prompt", most=2)


def test_token_ids_are_not_counted_as_inputs():
    """One long list of token ids is one input."""
    assert 1 == len(several([1] * 100, "prompt", most=2))


@pytest.mark.parametrize(
    ("given", "field", "word"),
    [
        ([1, "a"], "prompt", "token ids"),
        (["a", 1], "prompt", "token ids"),
        ([[1], 2], "prompt", "token ids"),
        ([[1], []], "prompt[1]", "empty"),
        (["a", "b", "c"], "prompt", "at most 2"),
    ],
)
def test_mixtures_and_too_many_are_refused(given: Any, field: str, word: str):
    """The error names the place and the reason."""
    error = refusal(several, given, "prompt", most=2)

    assert field == error.param
    assert word in error.message
