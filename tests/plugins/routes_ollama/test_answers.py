from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage import ChatRequest, Chunk, Message, Started, TokenLogprob, ToolCall
from hoshikage.core.errors import EngineFailed, QueueFull
from hoshikage.core.http.collected import Collected, CollectedChoice
from hoshikage.plugins.routes_ollama.answers import NdjsonEncoder, loading_row, whole_body
from hoshikage.plugins.routes_ollama.context import read_context
from tests.plugins.routes_ollama.made import call_deltas, done, lines

if TYPE_CHECKING:
    from hoshikage import FinishReason, StreamEvent
    from hoshikage.plugins.routes_ollama.answers import Kind

ASKED = ChatRequest("r1", "m", (Message("user", "hello"),))
RAW = ChatRequest("r1", "m", prompt="hello")
COUNTS = {
    "total_duration": 2_000_000_000,
    "load_duration": 1_000_000_000,
    "prompt_eval_count": 3,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 5,
    "eval_duration": 500_000_000,
}
CALL = {"id": "call_0", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}


def streamed(kind: Kind, *events: StreamEvent, request: ChatRequest = ASKED) -> list[dict[str, Any]]:
    """The rows of a stream, without what all of them have."""
    encoder = NdjsonEncoder(kind, request)
    return [without_head(row) for row in lines(b"".join(map(encoder.encode, events)))]


def whole(kind: Kind, choice: CollectedChoice, reason: FinishReason = "stop", request: ChatRequest = ASKED) -> dict:
    return without_head(whole_body(kind, request, Collected((choice,), done(reason))))


def without_head(row: dict[str, Any]) -> dict[str, Any]:
    assert "m" == row.pop("model")
    assert datetime.fromisoformat(row.pop("created_at")).tzinfo is not None
    return row


def said(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def test_a_chat_streams_text_and_ends_with_counts():
    """Each piece is a row; the last has no text, and all counts and durations in nanoseconds."""
    assert [
        {"message": said("one"), "done": False},
        {"message": said(" two"), "done": False},
        {"message": said(""), "done": True, "done_reason": "stop", **COUNTS},
    ] == streamed("chat", Started(3), Chunk("one"), Chunk(""), Chunk(" two"), done())


def test_a_generate_streams_text_and_ends_with_a_context():
    """The text stands in `response`; the conversation comes back with the answer."""
    first, last = streamed("generate", Chunk("one"), done("length"))

    assert {"response": "one", "done": False} == first
    assert ("", "length") == (last["response"], last["done_reason"])
    assert (Message("user", "hello"), Message("assistant", "one")) == read_context(last["context"])


@pytest.mark.parametrize("request_", [RAW, ChatRequest("r1", "m", prompt="a", suffix="b")])
def test_a_raw_prompt_has_no_context(request_: ChatRequest):
    """There is no conversation to carry along."""
    assert "context" not in streamed("generate", done(), request=request_)[-1]
    assert "context" not in whole("generate", CollectedChoice("a"), request=request_)


def test_thinking_stands_apart():
    """Thinking has a field of its own beside the text, which is always there; it is no part of the context."""
    chat = streamed("chat", Chunk("", reasoning="a"), Chunk("b", reasoning="c"), done())
    generate = streamed("generate", Chunk("", reasoning="a"), Chunk("b"), done())

    assert [said("", thinking="a"), said("b", thinking="c"), said("")] == [row["message"] for row in chat]
    assert [("", "a"), ("b", None), ("", None)] == [(row["response"], row.get("thinking")) for row in generate]
    assert (Message("user", "hello"), Message("assistant", "b")) == read_context(generate[-1]["context"])


def test_a_call_is_one_row_before_the_end():
    """Fragments are gathered; the call comes whole, and the answer ended by itself."""
    chunks = [Chunk("", tool_calls=(delta,)) for delta in call_deltas(0, "f", '{"a"', ": 1}")]
    call, last = streamed("chat", Chunk(""), *chunks, done("tool_calls"))

    assert {"message": said("", tool_calls=[CALL]), "done": False} == call
    assert (said(""), "stop") == (last["message"], last["done_reason"])


def test_several_calls_are_rows_in_their_order():
    """A call comes as soon as the next begins."""
    deltas = [*call_deltas(0, "f", '{"a": 1}'), *call_deltas(1, "g")]
    rows = streamed("chat", Chunk("I look. "), *(Chunk("", tool_calls=(d,)) for d in deltas), done("tool_calls"))

    assert "I look. " == rows[0]["message"]["content"]
    assert [["f"], ["g"]] == [[c["function"]["name"] for c in row["message"]["tool_calls"]] for row in rows[1:3]]
    assert 4 == len(rows)


def test_a_call_that_was_cut_off_is_text():
    """Where the limit came too soon there is no object to give, so the reader sees what there is."""
    deltas = tuple(call_deltas(0, "f", '{"a'))
    cut, last = streamed("chat", Chunk("", tool_calls=deltas), done("length"))
    choice = CollectedChoice("x ", tool_calls=(ToolCall("call_0", "f", '{"a'),))

    assert said('{"name": "f", "arguments": {"a') == cut["message"]
    assert "length" == last["done_reason"]
    assert said('x {"name": "f", "arguments": {"a') == whole("chat", choice, "length")["message"]


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_logprobs_stand_beside_the_text(kind: Kind):
    """Each row has those of its tokens, also where the text of a token is still held back."""
    chunks = [Chunk("", logprobs=(TokenLogprob(b"a", -1.0),)), Chunk("ab", logprobs=(TokenLogprob(b"b", -2.0),))]
    *rows, last = streamed(kind, *chunks, done())

    assert [["a"], ["b"]] == [[t["token"] for t in row["logprobs"]] for row in rows]
    assert "logprobs" not in last


def test_a_whole_chat_has_everything():
    """Text, thinking, calls and log-probabilities in one object, with the counts."""
    choice = CollectedChoice("b", "a", (ToolCall("call_0", "f", '{"a": 1}'),), (TokenLogprob(b"b", -1.0),))

    assert {
        "message": said("b", thinking="a", tool_calls=[CALL]),
        "logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}],
        "done": True,
        "done_reason": "stop",
        **COUNTS,
    } == whole("chat", choice, "tool_calls")


def test_a_whole_generate_has_everything():
    """The same under the names of the other route, with the context."""
    body = whole("generate", CollectedChoice("b", "a", (), (TokenLogprob(b"b", -1.0),)))

    assert ("b", "a", ["b"]) == (body["response"], body["thinking"], [t["token"] for t in body["logprobs"]])
    assert (Message("user", "hello"), Message("assistant", "b")) == read_context(body["context"])


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_an_empty_answer_has_its_text(kind: Kind):
    """Clients read the text without asking whether it is there."""
    body = whole(kind, CollectedChoice())

    assert "" == (body["message"]["content"] if kind == "chat" else body["response"])
    assert not {"thinking", "logprobs", "tool_calls"} & body.keys()


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_a_sign_of_life_is_an_empty_piece(kind: Kind):
    """It is a row like any other: lines of JSON have no comments."""
    (row,) = lines(NdjsonEncoder(kind, ASKED).heartbeat())

    assert {"done": False, **({"message": said("")} if kind == "chat" else {"response": ""})} == without_head(row)


def test_a_failure_is_a_row():
    """An error within a stream is a row with a text, in the words that clients look for."""
    encoder = NdjsonEncoder("chat", ASKED)

    assert [{"error": "it broke"}] == lines(encoder.failure(EngineFailed("it broke")))
    assert "server busy, please try again.  maximum" in lines(encoder.failure(QueueFull("full")))[0]["error"]


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_loading_is_an_answer_without_text(kind: Kind):
    """An empty prompt gets one row that says what was done."""
    row = without_head(loading_row(kind, "m", "unload"))

    assert (True, "unload") == (row["done"], row["done_reason"])
    assert "" == (row["message"]["content"] if kind == "chat" else row["response"])
