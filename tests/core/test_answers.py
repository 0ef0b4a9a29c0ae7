"""Taking answers apart: what the caller gets of the engine's events."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hoshikage import ChatRequest, Chunk, Done, Message, Started, TokenLogprob, Tool, ToolCallDelta, Usage
from hoshikage.core.answers import AnswerReader
from tests.fakes import FakeFormat, FakeParsed

REQUEST = ChatRequest("r1", "m", messages=(Message("user", "hello"),), tools=(Tool("f"),))
USAGE = Usage(3, 9)
DONE = Done("stop", USAGE)
CALL = ToolCallDelta(0, "c0", "f", "{")


def thought(text: str) -> FakeParsed:
    return FakeParsed(reasoning=text)


def calls(*deltas: ToolCallDelta) -> FakeParsed:
    return FakeParsed(tool_calls=deltas)


def read(pieces: dict, *events, request: ChatRequest = REQUEST) -> list:
    """What a reader makes of events whose pieces of text the format's parser takes apart in this way."""
    reader = AnswerReader(request, FakeFormat(pieces=pieces))
    return [out for event in events for out in reader.read(event)]


# --- pieces ---


def test_piece_is_taken_apart():
    """Each chunk holds what the parser makes of its text, with the chunk's own tokens and place."""
    parsed = FakeParsed("text", "thought", (CALL,))

    assert [Chunk("text", 2, 0, "thought", (CALL,))] == read({"raw": parsed}, Chunk("raw", 2))


def test_piece_that_is_held_back_keeps_its_tokens():
    """A chunk of which nothing is certain yet comes as an empty one, with its tokens and probabilities."""
    logprobs = (TokenLogprob(b"<th", -0.1),)

    assert [Chunk("", 3, logprobs=logprobs)] == read({"<th": FakeParsed()}, Chunk("<th", 3, logprobs=logprobs))


def test_rest_comes_before_the_end():
    """What the parser still holds at the end comes as one more chunk without tokens, before the last event."""
    assert [Chunk("a"), Chunk("rest", 0), DONE] == read({"": FakeParsed("rest")}, Chunk("a"), DONE)


def test_nothing_is_added_where_nothing_is_left():
    """Where the parser holds nothing, no chunk is added."""
    assert [Started(3, "tail"), Chunk("a"), DONE] == read({}, Started(3, "tail"), Chunk("a"), DONE)


def test_each_answer_has_its_own_parser():
    """The parser of each answer is made for the request and the end of the prompt, once."""
    chat_format = FakeFormat()
    reader = AnswerReader(REQUEST, chat_format)
    events = [Started(3, "tail"), Chunk("a"), Chunk("b", index=1), Chunk("c"), replace(DONE, more=("stop",))]
    out = [e for event in events for e in reader.read(event)]

    assert [(REQUEST, "tail")] * 2 == chat_format.parsers
    assert [(0, "a"), (1, "b"), (0, "c")] == [(e.index, e.text) for e in out if isinstance(e, Chunk)]


# --- tool calls ---


def test_call_without_an_id_gets_one():
    """The first piece of a call gets an id if the model gave none; the further ones stay without."""
    first, further = ToolCallDelta(0, name="f"), ToolCallDelta(0, arguments="{}")
    one, two = read({"x": calls(first), "y": calls(further)}, Chunk("x"), Chunk("y"))
    (made,), (after,) = one.tool_calls, two.tool_calls

    assert re.fullmatch(r"call_[0-9a-f]{24}", made.id)
    assert (replace(first, id=made.id), further) == (made, after)


def test_calls_have_ids_of_their_own():
    """No two calls have one id, neither in one answer nor in two."""
    deltas = calls(ToolCallDelta(0, name="f"), ToolCallDelta(1, name="f"))
    out = read({"x": deltas}, Chunk("x"), Chunk("x", index=1))

    assert 4 == len({call.id for chunk in out for call in chunk.tool_calls})


def test_id_of_the_model_stays():
    """An id that the model gave is passed on."""
    (chunk,) = read({"x": calls(CALL)}, Chunk("x"))

    assert (CALL,) == chunk.tool_calls


@pytest.mark.parametrize(("parallel", "kept"), [(True, [0, 1]), (False, [0])])
def test_further_calls_are_dropped_where_one_is_wanted(parallel: bool, kept: list[int]):
    """Where calls must not be parallel, those after the first are dropped."""
    request = replace(REQUEST, parallel_tool_calls=parallel)
    deltas = calls(CALL, ToolCallDelta(1, "c1", "f"))
    (chunk,) = read({"x": deltas}, Chunk("x"), request=request)

    assert kept == [call.index for call in chunk.tool_calls]


def test_calls_are_why_an_answer_ended():
    """Each answer with calls that the model ended itself says so; one cut short, or without calls, does not."""
    done = Done("stop", USAGE, more=("stop", "length"))
    *_, end = read({"x": calls(CALL)}, Chunk("a"), Chunk("x", index=1), Chunk("x", index=2), done)

    assert ("stop", "tool_calls", "length") == end.finish_reasons


def test_call_may_come_at_the_very_end():
    """A call that the parser gives only at the end counts like any other."""
    *_, chunk, done = read({"": calls(CALL)}, Chunk("x"), DONE)

    assert ((CALL,), "tool_calls") == (chunk.tool_calls, done.finish_reason)


# --- thinking ---


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        (("a", "b"), 0),
        (("think", "a"), 2),
        (("held", "think", "a"), 4),
        (("think", "held", "a"), 2),
        (("think", "held", "think", "a"), 6),
        (("held", "a", "think"), 2),
        (("think", "call"), 2),
    ],
)
def test_tokens_of_thinking_are_counted(texts: tuple[str, ...], tokens: int):
    """Tokens count as thinking if thinking is what comes out of them, also where it comes out later."""
    pieces = {"think": thought("hm"), "held": FakeParsed(), "call": calls(CALL)}
    *_, done = read(pieces, *(Chunk(text, 2) for text in texts), DONE)

    assert tokens == done.usage.reasoning_tokens


def test_thinking_that_never_ends_is_counted():
    """An answer that ends within its thinking counts what was held back as well."""
    *_, done = read({"held": FakeParsed(), "": thought("hm")}, Chunk("held", 2), DONE)

    assert 2 == done.usage.reasoning_tokens


def test_count_of_the_engine_is_kept():
    """Where the engine counts thinking itself, its count stands."""
    usage = replace(USAGE, reasoning_tokens=7)
    *_, done = read({"think": thought("hm")}, Chunk("think"), Done("stop", usage))

    assert usage == done.usage


def test_thinking_of_all_answers_is_counted_together():
    """The count is that of all answers, like the other counts."""
    done = replace(DONE, more=("stop",))
    *_, end = read({"think": thought("hm")}, Chunk("think"), Chunk("think", 2, index=1), done)

    assert 3 == end.usage.reasoning_tokens


# --- formats that break ---


@pytest.mark.parametrize("method", ["parser", "push", "finish"])
def test_broken_parser_leaves_the_text_as_it_is(method: str):
    """A parser that raises is logged once with its format's name; from there on the text comes as it is."""
    pieces = {"push": {"a": ZeroDivisionError()}, "finish": {"": ZeroDivisionError()}}.get(method, {})
    chat_format = FakeFormat("odd", pieces=pieces, failing=frozenset({method}))
    reader = AnswerReader(REQUEST, chat_format)
    with capture_logs() as logs:
        out = [e for event in (Chunk("a"), Chunk("b"), DONE) for e in reader.read(event)]

    assert [Chunk("a"), Chunk("b"), DONE] == out
    assert ["odd"] == [line["chat_format"] for line in logs if line["event"] == "chat_format_failed"]
