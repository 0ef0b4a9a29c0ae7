from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Message, ToolCall
from hoshikage.core.errors import NotSupported
from tests.plugins.routes_ollama.made import chat, refusal


def messages(*bodies: dict[str, Any]) -> tuple[Message, ...]:
    return chat(messages=list(bodies)).messages


def call(name: str = "weather", call_id: str | None = None, **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"index": 0, "name": name, "arguments": arguments}}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(made)}


def result(content: str = "sunny", **fields: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_texts_keep_their_role(role: str):
    """A message of text is itself; no content at all is an empty one."""
    assert (Message(role, "a"), Message(role, "")) == messages({"role": role, "content": "a"}, {"role": role})


def test_thinking_is_the_assistants():
    """What the assistant thought comes along; others do not think."""
    assert (Message("assistant", "b", reasoning="a"), Message("user", "c")) == messages(
        {"role": "assistant", "content": "b", "thinking": "a"}, {"role": "user", "content": "c", "thinking": "d"}
    )


def test_arguments_become_text():
    """Calls come with an object of arguments, and are kept as its text."""
    (message,) = messages(calls(call(city="東京", days=[1, 2])))

    assert (ToolCall("call_1", "weather", '{"city":"東京","days":[1,2]}'),) == message.tool_calls


@pytest.mark.parametrize("arguments", [None, {}])
def test_no_arguments_are_an_empty_object(arguments: dict | None):
    """Clients leave out what a function does not take."""
    (message,) = messages(calls({"function": {"name": "now", "arguments": arguments}}))

    assert "{}" == message.tool_calls[0].arguments


def test_calls_without_an_id_are_numbered():
    """The official client drops ids; numbers make the same prompt of the same conversation each time."""
    bodies = [calls(call(), call()), result(), result(), calls(call(call_id="call_x"), call())]
    first = messages(*bodies)

    assert [["call_1", "call_2"], ["call_x", "call_4"]] == [[c.id for c in m.tool_calls] for m in (first[0], first[3])]
    assert first == messages(*bodies)


def test_a_result_names_its_tool():
    """By the tool's name, a result finds its call."""
    made = calls(call("weather"), call("time"))

    assert ("call_2", "time") == answered(made, result(tool_name="time"))
    assert ("call_1", "weather") == answered(made, result(tool_name="weather"))


def test_a_result_names_its_call():
    """By the call's id, a result finds its tool's name, which templates want."""
    made = calls(call("weather", "a"), call("time", "b"))

    assert ("b", "time") == answered(made, result(tool_call_id="b"))
    assert ("b", "clock") == answered(made, result(tool_call_id="b", tool_name="clock"))


def test_results_without_a_name_follow_the_calls_in_order():
    """Older clients say nothing of what a result is of."""
    *_, first, second, third = messages(calls(call("weather"), call("time")), result(), result(), result())

    assert [("call_1", "weather"), ("call_2", "time"), ("", None)] == [
        (m.tool_call_id, m.name) for m in (first, second, third)
    ]


def test_equal_tools_are_answered_in_order():
    """Two calls of one tool have two results, the first of the first."""
    *_, first, second = messages(calls(call(), call()), result(tool_name="weather"), result(tool_name="weather"))

    assert ["call_1", "call_2"] == [first.tool_call_id, second.tool_call_id]


def test_a_result_without_a_call_keeps_what_it_says():
    """A conversation that was cut at the front is still read."""
    assert ("", "time") == answered(calls(call("weather")), result(tool_name="time"))
    assert ("z", None) == answered(calls(call("weather")), result(tool_call_id="z"))


def answered(*bodies: dict[str, Any]) -> tuple[str, str | None]:
    last = messages(*bodies)[-1]
    assert "sunny" == last.content
    return last.tool_call_id, last.name


@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
def test_images_are_refused(role: str):
    """No engine here sees: left out in silence, the answer would be made up."""
    error = refusal(messages, {"role": "user", "content": "a"}, {"role": role, "content": "b", "images": ["aGk="]})

    assert isinstance(error, NotSupported)
    assert "messages[1].images" == error.param
    assert '"m" does not support images' in error.message


def test_no_images_are_none():
    """An empty list is sent by many."""
    assert (Message("user", "a"),) == messages({"role": "user", "content": "a", "images": []})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "king", "content": "a"}, "messages[0].role"),
        ({"content": "a"}, "messages[0].role"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "text", "text": "a"}]}, "messages[0].content"),
        ({"role": "assistant", "thinking": 1}, "messages[0].thinking"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "arguments"),
        ({"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}, "function.name"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "function"),
        ({"role": "tool", "tool_name": 1}, "messages[0].tool_name"),
    ],
)
def test_a_bad_message_is_named(body: dict, field: str):
    """Unknown roles and wrong types are 400 and say where; arguments as a text are one of them."""
    error = refusal(messages, body)

    assert field in (error.param or "")
    assert error.message.startswith(f"{error.param}: ")
