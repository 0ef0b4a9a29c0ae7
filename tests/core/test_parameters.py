"""Model parameters: what is honoured, what is refused, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from hoshikage.core.errors import InvalidRequest
from hoshikage.core.parameters import ADAPTERS, check_parameters, usable_parameters


def test_parameters_that_are_honoured_stay_as_they_are():
    """Types and names are kept; `null` is unset."""
    given = {"temperature": 1, "stop": ["a"], "num_ctx": 4096, "num_predict": -1, "top_k": None}

    assert {"temperature": 1, "stop": ["a"], "num_ctx": 4096, "num_predict": -1} == check_parameters(given)


def test_others_are_named_in_the_log():
    """They have no effect, and are not kept; nor can anyone give the model adapters this way."""
    with structlog.testing.capture_logs() as logs:
        assert {} == check_parameters({"num_keep": 4, "use_mmap": True, ADAPTERS: ["x"], "num_gpu": None})

    assert [["adapters", "num_keep", "use_mmap"]] == [entry["parameters"] for entry in logs]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "0.5"),
        ("temperature", -1),
        ("top_p", 1.5),
        ("num_ctx", -1),
        ("num_ctx", 1.5),
        ("stop", [1]),
        ("seed", 2**64),
        ("mirostat", 1),
        ("ignore_eos", "yes"),
        ("keep_alive", "a while"),
        ("keep_alive", True),
    ],
)
def test_nonsense_is_refused(name: str, value: Any):
    """The error names the parameter."""
    with pytest.raises(InvalidRequest, match=rf"^parameters\.{name}: ") as caught:
        check_parameters({"top_k": 1, name: value})

    assert f"parameters.{name}" == caught.value.param


def test_nonsense_from_elsewhere_is_left_out():
    """The others are used, and the log names the model."""
    with structlog.testing.capture_logs() as logs:
        assert {"top_k": 1} == usable_parameters({"temperature": "hot", "top_k": 1}, "star")

    assert [("parameter_left_out", "star")] == [(entry["event"], entry["model"]) for entry in logs]
