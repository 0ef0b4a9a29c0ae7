"""JSON that comes in pieces: where it ends, what is mended, and what is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoshikage.plugins.chat_formats.arguments import ObjectScanner, decoded, read_object, read_scalar, read_string
from hoshikage.plugins.chat_formats.source import Source
from tests.plugins.chat_formats.goldens import reader

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(value=st.dictionaries(st.text(), JSON, max_size=4), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_any_object_is_passed_on_unchanged(value, ascii_only, indent):
    """Whatever is in it, the object's text comes out as it went in, and what follows stays."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    for size in (1, 5, len(text) + 9):
        passed, complete, rest = read(text + "}, {", size=size)

        assert (text, True, "}, {") == (passed, complete, rest)


@settings(deadline=None)
@given(value=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_arguments_are_handed_out_as_one_object(value):
    """The pieces of a call's arguments, joined, are the object that the model wrote."""
    text = json.dumps(value)
    found = reader("hermes").push(*f'<tool_call>{{"name": "now", "arguments": {text}}}</tool_call>').finish()

    assert [["", "now", text]] == found.calls
    assert "" == found.content


def test_arguments_are_handed_out_while_they_come():
    """Nothing waits for the end of a long argument; only half an escape waits for its letter."""
    found = reader("hermes").push('<tool_call>\n{"name": "get_weather", "arguments": {"city": "To')

    assert [["", "get_weather", '{"city": "To']] == found.calls
    found.push("ky")
    assert '{"city": "Toky' == found.calls[0][2]
    found.push("o\\")
    assert '{"city": "Tokyo' == found.calls[0][2]
    found.push("n")
    assert '{"city": "Tokyo\\n' == found.calls[0][2]


def test_a_call_is_announced_when_its_arguments_begin():
    """Until then it could still turn out to be text."""
    found = reader("hermes").push('Hi <tool_call>{"name": "now", "arguments": ')

    assert ("Hi", []) == (found.content, found.calls)
    found.push("{")
    assert [["", "now", "{"]] == found.calls


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ('{"a": "1\n2"}', r'{"a": "1\n2"}'),
        ('{"a": "\t\r\x00"}', r'{"a": "\t\r\u0000"}'),
        ('{\n\t"a": 1}', '{\n\t"a": 1}'),
    ],
)
def test_line_breaks_in_strings_are_escaped(text, passed):
    """What models forget most is put right; white space elsewhere is the model's."""
    assert (passed, True, "") == read(text)
    assert isinstance(json.loads(passed), dict)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("[1]", ""),
        ('"a"', ""),
        ("1", ""),
        ("{]", "{"),
        ('{"a": [}', '{"a": ['),
        ('{"a": <b>}', '{"a": '),
        ("{'a': 1}", "{"),
    ],
)
def test_what_breaks_an_object_stays(text, passed):
    """Up to the break it is passed on, the rest is left to the reader of text."""
    assert (passed, False, text[len(passed) :]) == read(text)


def test_scanning_goes_on_over_pieces():
    """A scanner knows over any cut whether it is in a string."""
    scanner = ObjectScanner()

    assert (4, '{"a}') == scanner.take('{"a}')
    assert (1, "}") == scanner.take("}\\")
    assert not scanner.broken
    assert (5, '\\"":1') == scanner.take('\\"":1')
    assert (1, "}") == scanner.take("}}")
    assert scanner.complete


@pytest.mark.parametrize(
    ("text", "value", "rest"),
    [('"a\\n" x', "a\n", " x"), ('"', None, '"'), ("a", None, "a"), ('"\\ud800"', None, ""), ('"a\nb"', None, "")],
)
def test_strings_are_read_whole(text, value, rest):
    """A string comes with its escapes undone; what is none is none."""
    source = ended(text)

    assert value == result(read_string(source))
    assert rest == source.rest


@pytest.mark.parametrize(
    ("text", "value"), [("12,", 12), ("true}", True), ("null ", None), ('"a"', "a"), ("-1.5]", -1.5)]
)
def test_scalars_are_read_to_their_end(text, value):
    """A number is not read before its last digit is known."""
    assert value == result(read_scalar(ended(text)))


@pytest.mark.parametrize("text", ["", "nul,", "12", "{", "NaN,", ",", '"a'])
def test_what_is_no_scalar_is_an_error(text):
    """Neither words nor brackets nor half a number pass for a value."""
    with pytest.raises(ValueError):
        result(read_scalar(ended(text)))


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[" * 100_000, "\ud800"])
def test_no_json_is_nothing(text):
    """Text that is no JSON raises nothing, however deep or strange it is."""
    assert decoded(text) is None


def read(text: str, *, size: int = 1000) -> tuple[str, bool, str]:
    """What is passed on of an object, whether it is whole, and what is left."""
    source, passed = Source(), []
    steps = read_object(source, passed.append)
    for at in range(0, len(text), size):
        source.add(text[at : at + size])
        try:
            next(steps)
        except StopIteration as done:
            source.add(text[at + size :])
            return "".join(passed), done.value, source.rest
    raise AssertionError("it still waits")


def ended(text: str) -> Source:
    source = Source()
    source.add(text)
    source.ended = True
    return source


def result(steps) -> object:
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    raise AssertionError("it still waits")
