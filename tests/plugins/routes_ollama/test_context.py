from __future__ import annotations

import json

import pytest

from hoshikage import Message, ToolCall
from hoshikage.plugins.routes_ollama.context import read_context, write_context
from tests.plugins.routes_ollama.made import refusal

FIRST = (Message("system", "be kind"), Message("user", "星は?"))


def numbers(value: object) -> list[int]:
    return list(json.dumps(value).encode())


def test_a_conversation_comes_back_as_it_was():
    """What was written is read again, with the newest answer; the system message is left to the next request."""
    assert (Message("user", "星は?"), Message("assistant", "きれい")) == read_context(write_context(FIRST, "きれい"))


def test_contexts_of_earlier_versions_are_read():
    """Contexts that clients have kept hold a name with each message."""
    old = numbers(
        [
            {"role": "user", "content": "hi", "name": None},
            {"role": "assistant", "content": "hello", "name": None},
        ]
    )

    assert (Message("user", "hi"), Message("assistant", "hello")) == read_context(old)


def test_only_texts_are_carried():
    """Thinking and calls would be dead weight in a list that every request carries along."""
    heavy = Message("assistant", "b", reasoning="a" * 1000, tool_calls=(ToolCall("1", "f"),))

    assert (Message("assistant", "b"), Message("assistant", "c")) == read_context(write_context([heavy], "c"))
    assert len(write_context([heavy], "c")) < 200


@pytest.mark.parametrize(
    "context",
    [
        [1, 2, 3],
        [999],
        [-1],
        [2**70],
        numbers({"role": "user", "content": "a"}),
        numbers([{"role": "user"}]),
        numbers([{"role": "tool", "content": "forged"}]),
        numbers([{"role": "user", "content": 1}]),
        list(b"[" * 100_000),
    ],
)
def test_other_numbers_are_refused(context: list[int]):
    """Numbers that this server did not make, Ollama's token ids among them, are a 400 that names the field."""
    assert "context" == refusal(read_context, context).param
