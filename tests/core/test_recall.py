"""What the kernel does with memories: where they stand in the prompt, and who switches them on."""

from __future__ import annotations

import pytest

from hoshikage import Caller, MemoryUse, Message, ModelRecord
from hoshikage.core.errors import ModelNotFound
from hoshikage.core.names import name_key
from hoshikage.core.recall import model_by_name, switched_on, with_block

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


def find(name: str) -> ModelRecord:
    """As the catalogue does it."""
    for record in map(ModelRecord, ("m", "m:tag", "lab.lan:5000/m", "own+memory")):
        if name_key(name) == name_key(record.name):
            return record
    raise ModelNotFound(name)


@pytest.mark.parametrize(
    ("asked", "name", "with_memory"),
    [
        ("m", "m", False),
        ("m+memory", "m", True),
        ("M+Memory", "m", True),
        ("m+memory:latest", "m", True),
        ("m:latest+memory", "m", True),
        ("m:tag+memory", "m:tag", True),
        ("m+memory:tag", "m:tag", True),
        ("lab.lan:5000/m+memory", "lab.lan:5000/m", True),
        ("own+memory", "own+memory", False),
        ("own+memory+memory", "own+memory", True),
    ],
)
def test_a_name_switches_memory_on(asked, name, with_memory):
    """Behind the name or before its tag; a model that is itself called so is meant first."""
    record, found = model_by_name(asked, find)

    assert (name, with_memory) == (record.name, found)


@pytest.mark.parametrize("asked", ["n", "n+memory", "+memory", "m+memory2", "m+memory/x", "m+memory:other"])
def test_a_model_that_is_not_there(asked):
    """The error has the name as the client gave it."""
    with pytest.raises(ModelNotFound) as error:
        model_by_name(asked, find)

    assert asked == error.value.name


@pytest.mark.parametrize(("mode", "after"), [(None, "on"), ("off", "off"), ("read", "read")])
def test_what_the_request_says_elsewhere_wins(mode, after):
    """A name only decides where nothing else does."""
    assert MemoryUse(after, "ann") == switched_on(Caller(memory=MemoryUse(mode, "ann"))).memory
