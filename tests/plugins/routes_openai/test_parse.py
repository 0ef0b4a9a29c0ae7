from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hoshikage import Adapter, ChatRequest, Message, Sampling, Thinking, ToolChoice
from hoshikage.plugins.routes_openai.parse import asks_for_usage, session_of
from tests.plugins.routes_openai.made import WEATHER, asked, chat, refusal

SAMPLING = {
    "temperature": 0.5,
    "top_k": 3,
    "top_p": 0.5,
    "min_p": 0.25,
    "typical_p": 0.75,
    "repeat_penalty": 1.5,
    "repeat_last_n": -1,
    "presence_penalty": -1.0,
    "frequency_penalty": 2.0,
    "dry_multiplier": 0.5,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n", ":"],
    "xtc_probability": 0.5,
    "xtc_threshold": 0.25,
    "mirostat": 2,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.5,
    "seed": -7,
    "logit_bias": {"15": -100, "0": 0.5},
    "ignore_eos": True,
}


def test_the_least_chat_leaves_everything_open():
    """What a body does not say is left to the defaults."""
    assert ChatRequest("r1", "m", (Message("user", "hello"),)) == asked()


def test_every_number_of_sampling_arrives():
    """Each field of the sampling has a field of the same name in the body."""
    expected = Sampling(**{**SAMPLING, "logit_bias": {15: -100, 0: 0.5}, "dry_sequence_breakers": ("\n", ":")})

    assert expected == asked(**SAMPLING).sampling
    assert set(SAMPLING) == {f.name for f in dataclasses.fields(Sampling)}


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_tokens": 5, "max_completion_tokens": 7}, "max_tokens", 7),
        ({"stop": "a"}, "stop", ("a",)),
        ({"stop": ["a", "b"]}, "stop", ("a", "b")),
        ({"stop": []}, "stop", ()),
        ({"stop": ""}, "stop", ()),
        ({"stop": ["", "b"]}, "stop", ("b",)),
        ({"stream": True}, "stream", True),
        ({"keep_alive": "5m"}, "keep_alive_s", 300),
        ({"n": 16}, "n", 16),
        ({"timeout": 2.5}, "deadline_s", 2.5),
        ({"logprobs": True}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 20}, "logprobs", 20),
        ({"logprobs": False}, "logprobs", None),
        ({"logprobs": False, "top_logprobs": 0}, "logprobs", None),
        ({"tools": [WEATHER], "tool_choice": "required"}, "tool_choice", ToolChoice("required")),
        ({"tools": [WEATHER], "parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"functions": [WEATHER["function"]]}, "parallel_tool_calls", False),
        ({"think": True}, "thinking", Thinking(enabled=True)),
        ({"chat_template_kwargs": {"a": 1}}, "template_variables", {"a": 1}),
        ({"modalities": ["text"]}, "stream", False),
    ],
)
def test_fields_arrive_in_the_request(fields: dict[str, Any], name: str, value: Any):
    """Each field of the body has its place in the request."""
    assert value == getattr(asked(**fields), name)


def test_tools_and_forms_arrive():
    """Tools keep their order, and the form is the one that was asked for."""
    request = asked(tools=[WEATHER, {"type": "function", "function": {"name": "f"}}], guided_regex="a")

    assert ["weather", "f"] == [t.name for t in request.tools]
    assert ("regex", "a") == (request.constraint.kind, request.constraint.source)


@pytest.mark.parametrize(
    ("lora", "adapter"),
    [
        ({"id": 0}, Adapter("0")),
        ({"id": "style", "scale": 0.5}, Adapter("style", 0.5)),
        ({"name": "style", "id": 3, "scale": 0}, Adapter("style", 0.0)),
    ],
)
def test_adapters_have_names(lora: dict[str, Any], adapter: Adapter):
    """An adapter is named by its name or its id; 0 is a strength like any other."""
    assert (adapter,) == asked(lora=[lora]).adapters


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": False, "top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"٣": 1}}, "logit_bias"),
        ({"logit_bias": {"9" * 30: 1}}, "logit_bias"),
        ({"lora": [{"id": 1}, {"scale": 1}]}, "lora[1].name"),
        ({"lora": [{"id": ""}]}, "lora[0].name"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"think": "very"}, "think"),
        ({"tool_choice": "never"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: dict[str, Any], field: str):
    """A value of the right type that means nothing is refused, with its field."""
    assert field == refusal(asked, **fields).param


def test_usage_is_sent_to_those_who_ask():
    """A stream ends with the counts only if the body says so."""
    options = [None, {}, {"include_usage": False}, {"include_usage": True}]

    assert [False, False, False, True] == [asks_for_usage(chat(stream_options=o)) for o in options]


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ({}, ""),
        ({"session_id": None}, ""),
        ({"session_id": " s1 "}, "s1"),
        ({"metadata": {"session_id": "s2"}}, "s2"),
        ({"session_id": "s1", "metadata": {"session_id": "s2"}}, "s1"),
        ({"metadata": {"session_id": 5}}, ""),
        ({"metadata": {"session_id": "x" * 512}}, ""),
        ({"metadata": {"session_id": "a\nb"}}, ""),
        ({"metadata": ["session_id"]}, ""),
        ({"user": "u", "safety_identifier": "i", "prompt_cache_key": "k"}, ""),
    ],
)
def test_the_conversation_that_a_body_names(fields, session):
    """Its own field comes first; what metadata hold that can be no name is the client's affair."""
    assert session == session_of(chat(**fields))


@pytest.mark.parametrize("name", ["x" * 257, "a\nb", "a\0"])
def test_a_conversation_that_can_have_no_such_name(name):
    """The error names the field."""
    assert "session_id" == refusal(session_of, chat(session_id=name)).param
