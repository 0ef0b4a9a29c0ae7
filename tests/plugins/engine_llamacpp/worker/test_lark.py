"""Rewriting of Lark grammars for a vocabulary."""

from __future__ import annotations

import pytest

from hoshikage.plugins.engine_llamacpp.worker.lark import prepare_lark

TOKENS = {"<tool_call>": 7, "</tool_call>": 8, "[ARGS]": 9}
OPTIONS = {"whitespace_flexible": False}
WRITTEN = '"x-guidance": {"whitespace_flexible": false}'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('start: "<tool_call>" x', "start: <[7]> x"),
        ('start: "<tool_call>\\n" x', 'start: (<[7]> "\\n") x'),
        ('start: ("a<tool_call>b</tool_call>")?', 'start: (("a" <[7]> "b" <[8]>))?'),
        ('start: "name" "[ARGS]"', 'start: "name" <[9]>'),
        ('start: "\\u003ctool_call>"', "start: <[7]>"),
    ],
)
def test_tokens_take_the_place_of_their_texts(source, expected):
    """Also in the middle of a literal, and however its letters are written."""
    assert expected == prepare_lark(source, TOKENS, OPTIONS)


@pytest.mark.parametrize(
    "source",
    [
        'start: "call"',
        'start: "<TOOL_CALL>"i',
        'start: "<tool_call>"i',
        'start: /<tool_call>"<tool_call>"/',
        'start: x // "<tool_call>"',
        'start: x # "<tool_call>"',
        'start[suffix="<tool_call>"]: /.*/',
        'start: %regex {"substring_words": "<tool_call> x"}',
        'start: "unfinished',
        "start: %json {broken",
        'start: "\\q<tool_call>"',
        "",
    ],
)
def test_all_else_stays_as_it_is(source):
    """Regular expressions, comments and attributes cannot hold tokens; what is wrong is for llguidance to say."""
    assert source == prepare_lark(source, TOKENS, OPTIONS)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ('{"const": "<tool_call>"}', f'{{{WRITTEN}, "const": "<tool_call>"}}'),
        ("{ }", f"{{{WRITTEN}}}"),
        ('{"x-guidance": {}}', '{"x-guidance": {}}'),
    ],
)
def test_json_says_how_it_is_written(schema, expected):
    """Unless it says so itself; texts inside of it are no literals of the grammar."""
    assert f'start: %json {expected} "x"' == prepare_lark(f'start: %json {schema} "x"', TOKENS, OPTIONS)


def test_without_tokens_literals_stay():
    """A vocabulary need not have any of them."""
    assert 'start: "<tool_call>"' == prepare_lark('start: "<tool_call>"', {}, OPTIONS)
