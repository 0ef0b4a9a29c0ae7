from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Message, ToolCall
from hoshikage.plugins.routes_openai.messages import conversation
from tests.plugins.routes_openai.made import chat, refusal


def turns(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return conversation(chat(messages=list(messages)).messages, "m")


def call(name: str, arguments: Any = "{}", call_id: str | None = None) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_roles_of_other_years_are_understood():
    """A developer speaks as the system, and a function's result is that of a tool."""
    found = turns(
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": "hi", "name": "Hoshi"},
        {"role": "function", "name": "f", "content": "1"},
    )

    assert (Message("system", "be kind"), Message("user", "hi", "Hoshi"), Message("tool", "1", "f")) == found


def test_content_may_be_missing_or_in_parts():
    """No content is an empty text; text parts and refusals are joined as they stand."""
    parts = [{"type": "text", "text": "a "}, {"type": "refusal", "refusal": "no"}, {"type": "text", "text": ""}]

    assert ["", "a no"] == [m.content for m in turns({"role": "user"}, {"role": "assistant", "content": parts})]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("image_url", "image input"),
        ("input_image", "image input"),
        ("image", "image input"),
        ("input_audio", "audio input"),
        ("audio", "audio input"),
        ("video_url", "video input"),
        ("file", "file input"),
        ("input_file", "file input"),
        ("thinking", "'thinking'"),
    ],
)
def test_other_media_are_refused_by_the_message(kind: str, word: str):
    """What is no text is refused, with the medium, the model and the message that holds it."""
    parts = [{"type": "text", "text": "look"}, {"type": kind, kind: {"url": "data:,"}}]
    error = refusal(turns, {"role": "user", "content": "hi"}, {"role": "user", "content": parts})

    assert "messages[1].content" == error.param
    assert "not_supported" == error.code
    assert word in error.message


def test_image_error_names_the_model():
    """The reader sees which model does not look at images."""
    error = refusal(turns, {"role": "user", "content": [{"type": "image_url"}]})

    assert "messages[0].content: image input is not supported by model 'm'; send text" == error.message


def test_a_text_part_without_text_is_refused():
    """A part that says it is text must have some."""
    error = refusal(turns, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text"}]})

    assert "messages[0].content[1].text" == error.param


def test_calls_and_results_belong_together():
    """Calls keep ids and arguments; a result gets the name of the function that its id stands for."""
    found = turns(
        {"role": "assistant", "tool_calls": [call("f", '{"a": 1}', "x1"), call("g", None, "x2")]},
        {"role": "tool", "tool_call_id": "x2", "content": "two"},
        {"role": "tool", "tool_call_id": "x1", "content": "one"},
    )

    assert (ToolCall("x1", "f", '{"a": 1}'), ToolCall("x2", "g", "{}")) == found[0].tool_calls
    assert [("x2", "g"), ("x1", "f")] == [(m.tool_call_id, m.name) for m in found[1:]]


def test_a_name_that_a_result_brings_itself_stays():
    """Where a result names its function, that name counts."""
    found = turns(
        {"role": "assistant", "tool_calls": [call("f", call_id="x")]},
        {"role": "tool", "tool_call_id": "x", "name": "h"},
    )

    assert "h" == found[1].name


def test_results_without_an_id_answer_the_oldest_open_call():
    """Results without ids are taken in the order of the calls, or by the name that they bring."""
    found = turns(
        {"role": "assistant", "tool_calls": [call("f"), call("g"), call("f")]},
        {"role": "tool", "name": "g", "content": "2"},
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "whose?"},
    )

    assert ["call_1", "call_2", "call_3"] == [c.id for c in found[0].tool_calls]
    answered = [(m.tool_call_id, m.name) for m in found[1:]]
    assert [("call_2", "g"), ("call_1", "f"), ("call_3", "f"), ("", None)] == answered


def test_an_unknown_id_is_kept():
    """A result whose call was cut from the conversation stays a result."""
    (found,) = turns({"role": "tool", "tool_call_id": "gone", "content": "1"})

    assert Message("tool", "1", None, tool_call_id="gone") == found


def test_an_old_function_call_is_a_call():
    """The old field makes one call, which the function's result answers by name."""
    found = turns(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    )

    assert (ToolCall("call_1", "f"),) == found[0].tool_calls
    assert "call_1" == found[1].tool_call_id


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_comes_back_under_either_name(field: str):
    """What the assistant thought is kept, whatever the client calls it."""
    (found,) = turns({"role": "assistant", "content": "b", field: "a"})

    assert Message("assistant", "b", reasoning="a") == found


def test_calls_of_others_than_the_assistant_are_passed_over():
    """Only the assistant calls and thinks."""
    (found,) = turns({"role": "user", "content": "a", "tool_calls": [call("f")], "reasoning": "x"})

    assert Message("user", "a") == found


@pytest.mark.parametrize(
    ("arguments", "text"),
    [("", "{}"), ("  ", "{}"), (None, "{}"), ({"a": "星"}, '{"a":"星"}'), ('{"a":  1}', '{"a":  1}')],
)
def test_arguments_are_the_text_of_an_object(arguments: Any, text: str):
    """A text is kept as it is, an object is written as text, and nothing is no arguments."""
    (found,) = turns({"role": "assistant", "tool_calls": [call("f", arguments)]})

    assert text == found.tool_calls[0].arguments


@pytest.mark.parametrize("arguments", ["{", "[1]", "1", "null", "hello", '{"a": NaN}'])
def test_arguments_that_are_no_object_are_refused(arguments: str):
    """A call's arguments must be a JSON object."""
    error = refusal(turns, {"role": "assistant", "tool_calls": [call("f"), call("g", arguments)]})

    assert "messages[0].tool_calls[1].function.arguments" == error.param


def test_old_arguments_are_checked_too():
    """The old field's arguments are named by their own place."""
    error = refusal(turns, {"role": "assistant", "function_call": {"name": "f", "arguments": "{"}})

    assert "messages[0].function_call.arguments" == error.param


def test_calls_of_other_kinds_are_refused():
    """A custom tool's call is not supported; a call without a function is incomplete."""
    custom = refusal(turns, {"role": "assistant", "tool_calls": [{"id": "x", "type": "custom", "custom": {}}]})
    empty = refusal(turns, {"role": "assistant", "tool_calls": [{"id": "x", "type": "function"}]})

    assert ("messages[0].tool_calls[0].type", "not_supported") == (custom.param, custom.code)
    assert "messages[0].tool_calls[0].function" == empty.param
