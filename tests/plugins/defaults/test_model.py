"""What a model brings: it stands between the request and the settings, and opens conversations."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import structlog

from hoshikage import Adapter, Caller, ChatRequest, Message, ModelRecord, Sampling
from hoshikage.plugins.defaults.filter import DefaultsFilter
from hoshikage.plugins.defaults.settings import DefaultsSettings

SETTINGS = DefaultsSettings(temperature=0.2, top_k=40, max_tokens_non_streaming=1024)
BROUGHT: dict[str, Any] = {
    "temperature": 0.7,
    "top_k": 3,
    "top_p": 0.9,
    "min_p": 0.1,
    "typical_p": 0.8,
    "repeat_penalty": 1.1,
    "repeat_last_n": 32,
    "presence_penalty": 1.5,
    "frequency_penalty": -1.5,
    "mirostat": 2,
    "mirostat_tau": 4.0,
    "mirostat_eta": 0.2,
    "seed": 7,
}
HI = Message("user", "hi")
OPENING = (Message("user", "a"), Message("assistant", "b"))


async def completed(record: ModelRecord, **fields: Any) -> ChatRequest:
    request = ChatRequest("r1", "m", **{"messages": (HI,), **fields})
    return await DefaultsFilter(SETTINGS).apply(request, record, Caller())


def record(**fields: Any) -> ModelRecord:
    return ModelRecord("m", **fields)


@pytest.mark.parametrize("name", BROUGHT)
async def test_parameter_of_the_model_stands_before_the_settings(name: str):
    """And the request's own stands before it, even if it is 0."""
    model = record(parameters=BROUGHT)

    open_one = await completed(model)
    own = await completed(model, sampling=Sampling(**{name: 0}))

    assert BROUGHT[name] == getattr(open_one.sampling, name)
    assert 0 == getattr(own.sampling, name)


async def test_settings_fill_what_the_model_leaves_open():
    """Each value has its own order."""
    done = await completed(record(parameters={"temperature": 0}))

    assert (0, 40) == (done.sampling.temperature, done.sampling.top_k)


@pytest.mark.parametrize(
    ("brought", "asked", "expected"), [(5, None, 5), (5, 9, 9), (-1, None, -1), (None, None, 1024)]
)
async def test_length(brought: int | None, asked: int | None, expected: int):
    """`num_predict` of the model is the limit where the request has none."""
    parameters = {} if brought is None else {"num_predict": brought}

    assert expected == (await completed(record(parameters=parameters), max_tokens=asked)).max_tokens


async def test_stop_strings_of_the_request_replace_those_of_the_parameters():
    """As in Ollama; those that were registered with the model always apply."""
    model = record(parameters={"stop": ["p", "q"]}, stop=("r",))

    assert ("p", "q", "r") == (await completed(model)).stop
    assert ("own", "r") == (await completed(model, stop=("own",))).stop


async def test_system_prompt_is_for_conversations_without_one():
    """It comes first, before the opening; a conversation that has one keeps it."""
    model = record(system="s", messages=OPENING)
    own = Message("system", "own")

    assert (Message("system", "s"), *OPENING, HI) == (await completed(model)).messages
    assert (*OPENING, own, HI) == (await completed(model, messages=(own, HI))).messages


async def test_raw_prompts_have_no_opening():
    """Nor have texts around a gap: there is no conversation."""
    assert () == (await completed(record(system="s", messages=OPENING), prompt="raw", messages=())).messages


async def test_adapters_of_the_model_are_used():
    """Unless the request names some itself."""
    model = record(parameters={"adapters": ["one", "two"]})

    assert (Adapter("one"), Adapter("two")) == (await completed(model)).adapters
    assert (Adapter("own"),) == (await completed(model, adapters=(Adapter("own"),))).adapters


async def test_nonsense_in_the_registry_is_told_once():
    """What a hand wrote there spoils no request."""
    filter_ = DefaultsFilter(SETTINGS)
    model = record(parameters={"temperature": "hot", "top_k": 1, "nothing": 1})

    with structlog.testing.capture_logs() as logs:
        done = [await filter_.apply(ChatRequest(f"r{n}", "m", messages=(HI,)), model, Caller()) for n in range(3)]

    assert [(0.2, 1)] * 3 == [(d.sampling.temperature, d.sampling.top_k) for d in done]
    assert ["parameter_left_out", "parameters_ignored"] == sorted(entry["event"] for entry in logs)


async def test_model_that_brings_nothing_changes_nothing():
    """The request is what it would be without any of this."""
    done = await completed(record())

    assert ((HI,), (), ()) == (done.messages, done.stop, done.adapters)
    assert {f.name for f in dataclasses.fields(Sampling) if getattr(done.sampling, f.name)} == {"temperature", "top_k"}
