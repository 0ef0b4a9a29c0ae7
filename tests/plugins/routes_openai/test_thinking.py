from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Thinking
from hoshikage.plugins.routes_openai.thinking import template_variables, thinking
from tests.plugins.routes_openai.made import chat, refusal

SWITCHED_ON = {"enable_thinking": True}
SWITCHED_OFF = {"enable_thinking": False}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Thinking()),
        ({"reasoning_effort": "none"}, Thinking(enabled=False)),
        ({"reasoning_effort": "minimal"}, Thinking(effort="minimal")),
        ({"reasoning_effort": "low"}, Thinking(effort="low")),
        ({"reasoning_effort": "medium"}, Thinking(effort="medium")),
        ({"reasoning_effort": "high"}, Thinking(effort="high")),
        ({"reasoning_effort": "xhigh"}, Thinking(effort="high")),
        ({"think": True}, Thinking(enabled=True)),
        ({"think": False}, Thinking(enabled=False)),
        ({"think": "none"}, Thinking(enabled=False)),
        ({"think": "low"}, Thinking(enabled=True, effort="low")),
        ({"think": "max"}, Thinking(enabled=True, effort="high")),
        ({"chat_template_kwargs": SWITCHED_ON}, Thinking(enabled=True)),
        ({"chat_template_kwargs": SWITCHED_OFF}, Thinking(enabled=False)),
        ({"chat_template_kwargs": {"enable_thinking": None}}, Thinking()),
        ({"thinking_budget": 100}, Thinking(budget_tokens=100)),
        ({"thinking_budget": 0}, Thinking(budget_tokens=0)),
        ({"thinking_budget_tokens": 7}, Thinking(budget_tokens=7)),
        ({"thinking_budget": -1}, Thinking()),
        ({"thinking_budget": 3, "thinking_budget_tokens": 7}, Thinking(budget_tokens=3)),
    ],
)
def test_every_word_for_thinking_is_understood(fields: dict[str, Any], expected: Thinking):
    """Each server's words say whether, how hard and how long to think; an effort alone leaves the first open."""
    assert expected == thinking(chat(**fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"think": False, "chat_template_kwargs": SWITCHED_ON}, Thinking(enabled=False)),
        ({"think": True, "reasoning_effort": "none"}, Thinking(enabled=True)),
        ({"think": True, "reasoning_effort": "low"}, Thinking(enabled=True, effort="low")),
        ({"think": "high", "reasoning_effort": "low"}, Thinking(enabled=True, effort="high")),
        ({"chat_template_kwargs": SWITCHED_OFF, "reasoning_effort": "low"}, Thinking(enabled=False, effort="low")),
        ({"chat_template_kwargs": SWITCHED_ON, "reasoning_effort": "none"}, Thinking(enabled=True)),
    ],
)
def test_the_most_direct_word_wins(fields: dict[str, Any], expected: Thinking):
    """`think` goes before the template's switch, and that before the effort."""
    assert expected == thinking(chat(**fields))


@pytest.mark.parametrize("field", ["reasoning_effort", "think"])
def test_unknown_words_are_refused_with_the_known_ones(field: str):
    """The error says which words there are."""
    error = refusal(thinking, chat(**{field: "very"}))

    assert field == error.param
    assert "none, minimal, low, medium, high, xhigh" in error.message


def test_the_switch_is_a_boolean():
    """A text in place of the boolean would count as true in a template."""
    error = refusal(thinking, chat(chat_template_kwargs={"enable_thinking": "false"}))

    assert "chat_template_kwargs.enable_thinking" == error.param


def test_variables_go_to_the_template_as_they_are():
    """What the client names, the template gets, the switch included."""
    variables = {"enable_thinking": True, "custom": [1, {"a": None}]}

    assert variables == template_variables(chat(chat_template_kwargs=variables))
    assert {} == template_variables(chat())


@pytest.mark.parametrize("name", ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"])
def test_what_the_server_sets_cannot_be_given(name: str):
    """A client cannot put a conversation of its own in place of the one that was checked."""
    assert f"chat_template_kwargs.{name}" == refusal(template_variables, chat(chat_template_kwargs={name: 1})).param
