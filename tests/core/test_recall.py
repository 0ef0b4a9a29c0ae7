"""What the kernel does with memories: where they stand in the prompt, and who switches them on."""

from __future__ import annotations

import pytest

from hoshikage import Caller, MemoryUse, Message
from hoshikage.core.recall import with_block, with_memory_by_name

SYSTEM, ASKED, ANSWERED = Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Hello")
NEWEST = Message("user", "And now?", name="Ann")


def test_the_block_stands_before_the_newest_message_of_the_user():
    """Everything before it is as it was, so that its computed state is of use."""
    found = with_block([SYSTEM, ASKED, ANSWERED, NEWEST], "BLOCK")

    assert (SYSTEM, ASKED, ANSWERED, Message("user", "BLOCK\n\nAnd now?", name="Ann")) == found


def test_results_of_tools_follow_it():
    """The newest message of the user need not be the last one."""
    called = (Message("assistant", ""), Message("tool", "42"))
    found = with_block([ASKED, *called], "BLOCK")

    assert (Message("user", "BLOCK\n\nHi"), *called) == found


@pytest.mark.parametrize(("messages", "block"), [([SYSTEM], "BLOCK"), ([], "BLOCK"), ([ASKED], "")])
def test_nothing_changes_without_a_place_or_a_block(messages, block):
    """A conversation without a user has no place for it."""
    assert tuple(messages) == with_block(messages, block)


@pytest.mark.parametrize(
    ("model", "mode", "name", "after"),
    [
        ("m+memory", None, "m", "on"),
        ("m:tag+memory", None, "m:tag", "on"),
        ("m+memory", "off", "m", "off"),
        ("m+memory", "read", "m", "read"),
        ("m", None, "m", None),
        ("m+memory2", None, "m+memory2", None),
    ],
)
def test_a_name_switches_memory_on(model, mode, name, after):
    """What the request says elsewhere wins."""
    found, caller = with_memory_by_name(model, Caller(memory=MemoryUse(mode, "ann")))

    assert (name, MemoryUse(after, "ann")) == (found, caller.memory)
