"""Every golden answer, cut in every way: always the same result, and nothing taken back."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.chat_formats.golden_answers import GOLDENS
from tests.plugins.chat_formats.goldens import FORMATS, TOOLS, Golden, reader

FRAGMENTS = [
    *("<think>", "</think>", "[THINK]", "[/THINK]", "<tool_call>", "</tool_call>", "<function=", "<parameter=", ">"),
    *("</parameter>", "</function>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "```json", "```", "\n"),
    *(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
    ),
    *("<|start|>", "assistant", "<|channel|>", "analysis", "commentary", "to=functions.", "<|message|>", "<|end|>"),
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ";",
        '"',
        "\\",
        "now",
        '"name"',
        '"arguments"',
        "1",
        "null",
        " ",
        "\x00",
        "星",
        "a",
    ),
    *('{"name": "now", "arguments": {', '{"name": "now", "parameters": {}}', '{"a": "b"}', "}}"),
]


def ids(golden: Golden) -> str:
    return f"{golden.format}: {golden.title}"


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_whole_answers(golden):
    """An answer in one piece comes apart as its format means it."""
    assert golden.result == read(golden, golden.raw)


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_answers_cut_in_two(golden):
    """Wherever an answer is cut, in a marker or a character, the result is the same."""
    data = golden.raw.encode()
    for at in range(len(data) + 1):
        decoder = codecs.getincrementaldecoder("utf-8")()
        pieces = decoder.decode(data[:at]), decoder.decode(data[at:], final=True)

        assert golden.result == read(golden, *pieces), pieces


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_answers_in_small_pieces(golden, size):
    """Character by character, and few at a time, the result is the same."""
    pieces = [golden.raw[at : at + size] for at in range(0, len(golden.raw), size)]

    assert golden.result == read(golden, *pieces)


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_nothing_is_taken_back(golden):
    """What is handed out after any beginning of the answer is a beginning of the whole result."""
    content, reasoning, calls = golden.result
    parser = reader(golden.format, tail=golden.tail, tools=golden.tools)
    for char in golden.raw:
        parser.push(char)

        assert content.startswith(parser.content)
        assert reasoning.startswith(parser.reasoning)
        assert all(
            (call[0], call[1], True) == (given[0], given[1], call[2].startswith(given[2]))
            for call, given in zip(calls, parser.calls, strict=False)
        )
        assert len(parser.calls) <= len(calls)


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_any_ending_is_survived(golden):
    """An answer cut off anywhere is read to its end, and what was certain stays."""
    for at in range(len(golden.raw)):
        parser = reader(golden.format, tail=golden.tail, tools=golden.tools).push(golden.raw[:at])
        before = parser.result
        after = parser.finish().result

        assert after[0].startswith(before[0])
        assert len(after[2]) >= len(before[2])


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_any_answer_to_any_format_is_survived(golden):
    """A parser gets through the answers of all other families, in pieces and cut short."""
    for name in FORMATS:
        whole = reader(name).push(golden.raw).finish().result
        pieces = reader(name).push(*golden.raw).finish().result

        assert whole == pieces


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(text=st.text("ab \n{}<[`", max_size=30), offered=st.booleans())
def test_plain_text_is_not_changed(name, text, offered):
    """Without thinking and calls, what is sent is what the model wrote, white space included."""
    parser = reader(name, tools=TOOLS if offered else ()).push(*text).finish()

    assert (text, "", ()) == parser.result


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(parts=st.lists(st.sampled_from(FRAGMENTS), max_size=12))
def test_any_mixture_is_survived(name, parts):
    """Whatever is strung together raises nothing, and comes out the same in one piece and in many."""
    text = "".join(parts)

    assert reader(name).push(text).finish().result == reader(name).push(*text).finish().result


def read(golden: Golden, *pieces: str) -> tuple[object, ...]:
    """The result of an answer that comes in these pieces."""
    return reader(golden.format, tail=golden.tail, tools=golden.tools).push(*pieces).finish().result
