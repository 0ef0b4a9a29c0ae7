"""Model names: what may be registered, and what means the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoshikage.core.errors import InvalidRequest
from hoshikage.core.names import MAX_NAME_CHARS, check_name, name_key


@pytest.mark.parametrize(
    "name",
    [
        "gemma",
        "LFM2.5_Q8",
        "llama3:8b",
        "org/model",
        "org/team/model:v1.0-Q4_K_M",
        "星影",
        "日本語モデル:最新",
        "7b",
        "a+b@c",
        "127.0.0.1:5000/team/model:v1",
        "registry.lan:5000/model",
        "x" * MAX_NAME_CHARS,
    ],
)
def test_allowed_names(name: str):
    """Letters of any script, digits, a few signs, parts and a tag are allowed, and come back unchanged."""
    assert name == check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "two words",
        "../etc/passwd",
        "a/../b",
        "/root",
        "a/",
        "a//b",
        "-option",
        ".hidden",
        "_private",
        "a:",
        "a:b:c",
        "a:..",
        "a:-option",
        "host:port/model",
        "host:123456/model",
        "a/host:5000/model",
        "host:5000/",
        "a\n",
        "a\x00b",
        "a?b=c",
        "a%2fb",
        "a\\b",
        "<b>",
        "☆",
        "x" * (MAX_NAME_CHARS + 1),
    ],
)
def test_refused_names(name: str):
    """What a path or a URL would trip over is refused."""
    with pytest.raises(InvalidRequest) as error:
        check_name(name)

    assert "name" == error.value.param


def test_refusal_does_not_repeat_an_endless_name():
    """The message shows the beginning of an endless name, not all of it."""
    with pytest.raises(InvalidRequest) as error:
        check_name("x" * 100_000)

    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Gemma", "gemma"),
        ("gemma:latest", "gemma"),
        ("GEMMA:Latest", "gemma"),
        ("STRASSE", "straße"),
        ("星影:latest", "星影"),
    ],
)
def test_same_model(one: str, other: str):
    """Case does not matter, and no tag is `:latest`."""
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("gemma:2b", "gemma"), ("latest", "gemma"), ("a/b", "b"), ("a_b", "a-b")])
def test_other_model(one: str, other: str):
    """Another tag, another part or another sign is another model."""
    assert name_key(one) != name_key(other)


def test_name_of_many_marks_is_refused_at_once():
    """To put a million marks in their order would take a quarter of an hour, and nothing else would run."""
    name = "a" + "\u0301\u0323" * 500_000

    assert name_key(name).startswith("a\u0301")
    with pytest.raises(InvalidRequest, match="is not allowed"):
        check_name(name)


@given(st.text(max_size=300))
def test_key_is_stable(name: str):
    """The key of a name in another case is the same key."""
    assert name_key(name) == name_key(name.casefold())


def test_decomposed_names_are_the_composed_ones():
    """A name as macOS writes it, with its marks apart, is taken and means the same."""
    apart, composed = "か\u3099くしゅう", "が\u304fしゅう"

    assert composed == check_name(apart)
    assert name_key(composed) == name_key(apart)
