from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage import ChatRequest, Constraint, Message, Thinking, Tool, ToolChoice
from hoshikage.core.errors import NotSupported
from hoshikage.core.http.body import check
from hoshikage.plugins.routes_ollama.bodies import ShowBody
from hoshikage.plugins.routes_ollama.context import write_context
from hoshikage.plugins.routes_ollama.parse import model_of
from tests.plugins.routes_ollama.made import CITY, HELLO, WEATHER, chat, generate, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

both = pytest.mark.parametrize("ask", [chat, generate])


@both
def test_what_is_left_out_is_unset(ask: Callable[..., ChatRequest]):
    """A body with no more than the least leaves everything to the defaults, and is streamed."""
    conversation = (Message("user", "hello"),)

    assert ChatRequest("r1", "m", conversation, stream=True) == ask()


@both
def test_null_is_unset(ask: Callable[..., ChatRequest]):
    """Null in every optional field is the same as nothing."""
    names = (
        "stream",
        "options",
        "keep_alive",
        "format",
        "think",
        "logprobs",
        "top_logprobs",
        "tools",
        "suffix",
        "name",
    )

    assert ask() == ask(**dict.fromkeys(names), unknown=1)


@both
def test_common_fields_arrive(ask: Callable[..., ChatRequest]):
    """What both routes take means the same in both."""
    request = ask(
        stream=False, keep_alive="5m", options={"num_predict": 7, "stop": "x", "temperature": 0, "num_ctx": 9}
    )

    assert (False, 300, 7, ("x",)) == (request.stream, request.keep_alive_s, request.max_tokens, request.stop)
    assert 0 == request.sampling.temperature


@pytest.mark.parametrize(
    ("body", "name"), [({"model": "a"}, "a"), ({"name": "b"}, "b"), ({"model": "a", "name": "b"}, "a")]
)
def test_the_model_has_two_names(body: dict, name: str):
    """Older clients write `name`."""
    assert name == model_of(check(body, ShowBody))


@pytest.mark.parametrize("body", [{}, {"model": ""}, {"model": None}])
def test_no_model_is_refused(body: dict):
    """In Ollama's words."""
    assert "model is required" == refusal(model_of, check(body, ShowBody)).message


# --- thinking ---


@both
@pytest.mark.parametrize(
    ("value", "thinking"),
    [
        (None, Thinking()),
        (True, Thinking(enabled=True)),
        (False, Thinking(enabled=False)),
        ("low", Thinking(enabled=True, effort="low")),
        ("medium", Thinking(enabled=True, effort="medium")),
        ("high", Thinking(enabled=True, effort="high")),
        ("max", Thinking(enabled=True, effort="high")),
    ],
)
def test_thinking_unset_is_not_off(ask: Callable[..., ChatRequest], value: bool | str | None, thinking: Thinking):
    """Unset leaves it to the model; a word switches it on as well."""
    assert thinking == ask(think=value).thinking


@both
@pytest.mark.parametrize("value", ["hard", "", "HIGH", 1, []])
def test_unknown_thinking_is_refused(ask: Callable[..., ChatRequest], value: Any):
    """Other words and other types are a 400."""
    assert "think" == refusal(ask, think=value).param


# --- format ---


@both
@pytest.mark.parametrize("value", [None, ""])
def test_no_format_is_free_text(ask: Callable[..., ChatRequest], value: str | None):
    """The official client sends an empty text for none."""
    assert ask(format=value).constraint is None


@both
def test_a_format_is_a_constraint(ask: Callable[..., ChatRequest]):
    """The word means any object; a schema is closed, and keeps its order."""
    found = ask(format=CITY).constraint

    assert Constraint("json_object", "", "format") == ask(format="json").constraint
    assert found is not None
    assert ("json_schema", "format") == (found.kind, found.param)
    assert json.dumps({**CITY, "additionalProperties": False}) == json.dumps(json.loads(found.source))


@both
@pytest.mark.parametrize("value", ["yaml", "JSON", 1, True, ["json"]])
def test_an_unknown_format_is_refused(ask: Callable[..., ChatRequest], value: Any):
    """Other words and other types are a 400."""
    assert "format" == refusal(ask, format=value).param


@pytest.mark.parametrize("depth", [300, 900])
def test_nesting_without_end_is_refused(depth: int):
    """A body may be nested deeper than schemas and arguments are read."""
    deep: dict[str, Any] = {}
    for _ in range(depth):
        deep = {"items": deep}
    call = {"function": {"name": "f", "arguments": deep}}
    tool = {"function": {"name": "f", "parameters": deep}}

    assert "format" == refusal(chat, format=deep).param
    assert "tools[0].function.parameters" == refusal(chat, tools=[tool]).param
    assert (
        "messages[0].tool_calls[0].function.arguments"
        == refusal(chat, messages=[{"role": "assistant", "tool_calls": [call]}]).param
    )


# --- logprobs ---


@both
@pytest.mark.parametrize(
    ("fields", "logprobs"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 0}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
        ({"top_logprobs": 5}, None),
        ({"logprobs": False, "top_logprobs": 5}, None),
    ],
)
def test_logprobs_and_alternatives(ask: Callable[..., ChatRequest], fields: dict, logprobs: int | None):
    """Alternatives come with log-probabilities only, as in Ollama."""
    assert logprobs == ask(**fields).logprobs


@both
@pytest.mark.parametrize("value", [-1, 21, 1.5, "3", True])
def test_too_many_alternatives_are_refused(ask: Callable[..., ChatRequest], value: Any):
    """From 0 to 20, as in Ollama."""
    assert "top_logprobs" == refusal(ask, logprobs=True, top_logprobs=value).param


# --- tools ---


@pytest.mark.parametrize("value", [None, []])
def test_no_tools_are_none(value: list | None):
    """Two of the great clients send an empty list always."""
    assert () == chat(tools=value).tools


def test_a_tool_arrives_whole():
    """Name, description and schema; the model may call it or not."""
    request = chat(tools=[WEATHER, {"function": {"name": "now"}}])

    assert (Tool("weather", "The weather of a city.", CITY), Tool("now")) == request.tools
    assert (ToolChoice("auto"), True) == (request.tool_choice, request.parallel_tool_calls)


def test_nulls_in_a_schema_are_left_out():
    """Clients in Go write null for what they do not say, which no JSON schema allows."""
    function = {
        "name": "now",
        "description": None,
        "parameters": {"type": "object", "required": None, "properties": {}},
    }
    (tool,) = chat(tools=[{"type": "function", "function": function}]).tools

    assert Tool("now", "", {"type": "object", "properties": {}}) == tool


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ({"type": "function"}, "tools[0].function"),
        ({"type": "web_search"}, "tools[0].type"),
        ({"function": {"name": "f", "parameters": {"type": "array"}}}, "tools[0].function.parameters"),
        ({"function": {"name": ""}}, "tools[0].function.name"),
        ({"function": {"name": "a b"}}, "tools[0].function.name"),
        ({"function": {"name": "f", "parameters": []}}, "tools[0].function.parameters"),
        ({"function": {}}, "tools[0].function.name"),
        ("weather", "tools[0]"),
    ],
)
def test_a_bad_tool_is_named(tool: Any, field: str):
    """What is no function, or one that cannot be offered, is a 400 that says where."""
    error = refusal(chat, tools=[tool])

    assert field == error.param
    assert error.message.startswith(f"{field}: ")


# --- generate ---


def test_system_and_context_stand_before_the_prompt():
    """The old conversation goes on under the new system message."""
    context = write_context([Message("system", "old"), Message("user", "a")], "b")
    request = generate(system="new", context=context)

    assert (
        Message("system", "new"),
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "hello"),
    ) == request.messages
    assert request.prompt is None


def test_a_raw_prompt_has_no_template():
    """It goes to the model as it stands, form and thinking included."""
    request = generate(raw=True, format="json", think=False)

    assert ("hello", None, ()) == (request.prompt, request.suffix, request.messages)
    assert Constraint("json_object", "", "format") == request.constraint


@pytest.mark.parametrize("fields", [{}, {"raw": True}, {"raw": False, "system": "be brief"}])
def test_a_suffix_makes_a_gap(fields: dict):
    """The texts around the gap go to the model raw."""
    request = generate(prompt="def f(", suffix="\n", **fields)

    assert ("def f(", "\n", ()) == (request.prompt, request.suffix, request.messages)


def test_a_gap_may_be_at_the_beginning():
    """Nothing before the gap is a prompt too."""
    assert ("", "b") == (generate(prompt=None, suffix="b").prompt, generate(prompt="", suffix="b").suffix)


@pytest.mark.parametrize("suffix", [None, ""])
def test_an_empty_suffix_is_none(suffix: str | None):
    """The official client sends empty texts for what is not given."""
    assert generate() == generate(suffix=suffix, template="", system="")


@pytest.mark.parametrize("field", [{"system": "a"}, {"template": "a"}, {"context": [91, 93]}])
def test_raw_leaves_no_place_for_more(field: dict):
    """In Ollama's words."""
    assert "raw mode does not support template, system, or context" == refusal(generate, raw=True, **field).message


def test_a_template_is_refused():
    """A Go template cannot be honoured, and the message says what can be done."""
    error = refusal(generate, template="{{ .Prompt }}")

    assert isinstance(error, NotSupported)
    assert error.message.startswith("template: ")
    assert "raw" in error.message


def test_images_are_refused():
    """In the words that chat has for it."""
    assert '"m" does not support images' in refusal(generate, images=["aGk="]).message
    assert generate() == generate(images=[])


@pytest.mark.parametrize(
    ("ask", "fields"),
    [
        (chat, {"messages": "hi"}),
        (chat, {"messages": [HELLO, 5]}),
        (chat, {"tools": WEATHER}),
        (chat, {"stream": "no"}),
        (chat, {"options": []}),
        (chat, {"keep_alive": []}),
        (generate, {"prompt": ["a"]}),
        (generate, {"system": 1}),
        (generate, {"suffix": 1}),
        (generate, {"raw": 1}),
        (generate, {"context": "abc"}),
        (generate, {"context": [1.5]}),
        (generate, {"logprobs": 3}),
    ],
)
def test_wrong_types_are_named(ask: Callable[..., ChatRequest], fields: dict):
    """A field of a wrong type is a 400 that names it."""
    (name,) = fields

    assert (refusal(ask, **fields).param or "").startswith(name)
