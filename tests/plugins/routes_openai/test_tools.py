from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Tool, ToolChoice
from hoshikage.plugins.routes_openai.tools import is_old_style, offer
from tests.plugins.routes_openai.made import WEATHER, chat, refusal


def offered(**fields: Any) -> Any:
    return offer(chat(**fields))


def test_a_tool_has_everything_that_was_said_of_it():
    """Name, description, schema and strictness are kept."""
    (tool,) = offered(tools=[WEATHER]).tools

    assert Tool("weather", "The weather of a city.", WEATHER["function"]["parameters"], strict=True) == tool


def test_the_least_tool_is_a_name():
    """A function without a schema takes no arguments."""
    (tool,) = offered(tools=[{"type": "function", "function": {"name": "f"}}]).tools

    assert Tool("f", "", {}) == tool


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_are_none(tools: Any):
    """An empty list is the same as no list, whatever choice is sent with it."""
    for choice in (None, "auto", "none"):
        found = offered(tools=tools, tool_choice=choice)

        assert () == found.tools
        assert found.choice.mode in {"auto", "none"}


@pytest.mark.parametrize(
    ("sent", "choice"),
    [
        (None, ToolChoice("auto")),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "weather"}}, ToolChoice("named", "weather")),
    ],
)
def test_choices_are_understood(sent: Any, choice: ToolChoice):
    """Each way to choose has its mode."""
    assert choice == offered(tools=[WEATHER], tool_choice=sent).choice


@pytest.mark.parametrize(
    ("choice", "field", "words"),
    [
        ("sometimes", "tool_choice", "auto, none, required"),
        ({"type": "function", "function": {"name": "climate"}}, "tool_choice", "there are: weather"),
        ({"type": "allowed_tools"}, "tool_choice.type", "'allowed_tools'"),
        ({"type": "function"}, "tool_choice.function", "required"),
    ],
)
def test_unknown_choices_are_refused(choice: Any, field: str, words: str):
    """A choice that nobody knows, or of a function that is not on offer, is refused with what there is."""
    error = refusal(offered, tools=[WEATHER], tool_choice=choice)

    assert field == error.param
    assert words in error.message


def test_nothing_can_be_required_of_no_tools():
    """A call cannot be required where there is nothing to call."""
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        assert "tool_choice" == refusal(offered, tool_choice=choice).param


def test_parallel_calls_are_allowed_unless_forbidden():
    """Only an express no keeps an answer to one call."""
    assert [True, True, False] == [
        offered(tools=[WEATHER], parallel_tool_calls=value).parallel for value in (None, True, False)
    ]


def test_tools_of_other_kinds_are_refused():
    """Only functions can be offered, and a function must be there."""
    other = refusal(offered, tools=[WEATHER, {"type": "web_search"}])
    empty = refusal(offered, tools=[{"type": "function"}])

    assert ("tools[1].type", "not_supported") == (other.param, other.code)
    assert "tools[0].function" == empty.param


def test_a_schema_of_arguments_is_that_of_an_object():
    """Arguments are named, so no other type can be asked for."""
    error = refusal(offered, tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}])

    assert "tools[0].function.parameters" == error.param
    assert "'array'" in error.message


def test_old_functions_are_tools_with_one_call():
    """The old fields offer the same functions, one call at a time."""
    body = chat(functions=[WEATHER["function"]], function_call={"name": "weather"}, parallel_tool_calls=True)
    found = offer(body)

    assert offered(tools=[WEATHER]).tools == found.tools
    assert ToolChoice("named", "weather") == found.choice
    assert not found.parallel
    assert is_old_style(body)


@pytest.mark.parametrize(("sent", "mode"), [(None, "auto"), ("auto", "auto"), ("none", "none")])
def test_old_choices_are_understood(sent: Any, mode: str):
    """The old choice knows two words."""
    assert mode == offered(functions=[WEATHER["function"]], function_call=sent).choice.mode


def test_old_mistakes_are_named_by_the_old_fields():
    """Errors name what the client wrote."""
    functions = [WEATHER["function"]]
    wrong = [{"name": "f", "parameters": {"type": "string"}}]

    assert "function_call" == refusal(offered, functions=functions, function_call="required").param
    assert "function_call" == refusal(offered, functions=functions, function_call={"name": "g"}).param
    assert "functions[0].parameters" == refusal(offered, functions=wrong).param
    assert "functions" == refusal(offered, functions=functions, tools=[WEATHER]).param


def test_new_style_is_what_has_no_functions():
    """An empty list of old functions makes no old client."""
    assert not is_old_style(chat(tools=[WEATHER], functions=[]))
