from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import structlog

from hoshikage import Sampling
from hoshikage.core.parameters import SAMPLING_FIELDS, max_tokens_of, sampling_of, stop_of
from hoshikage.plugins.routes_ollama.options import read_options
from tests.plugins.routes_ollama.made import refusal

SAMPLING: dict[str, Any] = {
    "temperature": 0.5,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.1,
    "typical_p": 0.8,
    "repeat_penalty": 1.1,
    "repeat_last_n": 64,
    "presence_penalty": 1.5,
    "frequency_penalty": -1.5,
    "dry_multiplier": 0.8,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n", ":"],
    "xtc_probability": 0.5,
    "xtc_threshold": 0.1,
    "mirostat": 2,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "seed": 7,
    "ignore_eos": True,
}


def test_every_way_of_sampling_is_an_option():
    """All that an engine can be told of sampling has an option of the same name, except biases by token id."""
    assert set(SAMPLING_FIELDS) == {f.name for f in fields(Sampling)} - {"logit_bias"} == set(SAMPLING)


@pytest.mark.parametrize("name", SAMPLING)
def test_each_option_reaches_its_field(name: str):
    """An option alone sets its field and leaves all others to the defaults."""
    value = SAMPLING[name]
    expected = tuple(value) if isinstance(value, list) else value

    assert Sampling(**{name: expected}) == sampling_of(read_options({name: value}))


@pytest.mark.parametrize("given", [None, {}, dict.fromkeys([*SAMPLING, "stop", "num_predict", "tfs_z"])])
def test_null_is_unset(given: dict | None):
    """Clients send every option that they know of, as null."""
    options = read_options(given)

    assert Sampling() == sampling_of(options)
    assert (None, ()) == (max_tokens_of(options), stop_of(options))


def test_unknown_options_are_noted():
    """An option without effect does no harm, and the log tells of it, without its value."""
    with structlog.testing.capture_logs() as logs:
        options = read_options({"num_gpu": 1, "penalize_newline": True, "tfs_z": None, "top_k": 1})

    assert 1 == options.top_k
    assert [{"event": "options_ignored", "options": ["num_gpu", "penalize_newline"], "log_level": "warning"}] == logs


@pytest.mark.parametrize(("given", "limit"), [(5, 5), (0, -1), (-1, -1), (-2, -1), (None, None)])
def test_the_limit_of_an_answer(given: int | None, limit: int | None):
    """0, -1 and -2 all mean as far as the context goes; unset is left to the defaults."""
    assert limit == max_tokens_of(read_options({"num_predict": given}))


@pytest.mark.parametrize(
    ("given", "stops"), [("a", ("a",)), (["a", "b"], ("a", "b")), ("", ()), (["", "b"], ("b",)), ([], ())]
)
def test_stop_strings(given: str | list[str], stops: tuple[str, ...]):
    """One string or a list of them; empty ones are none."""
    assert stops == stop_of(read_options({"stop": given}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("temperature", -1),
        ("temperature", True),
        ("top_k", 2**31),
        ("top_k", -1),
        ("top_p", 1.5),
        ("typical_p", -0.1),
        ("repeat_penalty", 0),
        ("repeat_last_n", -2),
        ("presence_penalty", 3),
        ("mirostat", 1),
        ("mirostat", 3),
        ("mirostat_tau", "much"),
        ("seed", 2**63),
        ("seed", 1.5),
        ("num_predict", "many"),
        ("num_predict", -3),
        ("num_predict", 2**40),
        ("stop", 5),
        ("stop", ["a"] * 65),
        ("dry_multiplier", -1),
        ("dry_sequence_breakers", "\n"),
        ("xtc_probability", 2),
        ("ignore_eos", "yes"),
    ],
)
def test_a_bad_option_is_named(name: str, value: object):
    """A wrong type and a value out of range are 400 under the option's full path."""
    error = refusal(read_options, {name: value})

    assert f"options.{name}" == error.param
    assert error.message.startswith(f"options.{name}: ")
