from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Chunk, Done, Started, TokenLogprob, ToolCall, ToolCallDelta, Usage
from hoshikage.core.errors import QueueFull
from hoshikage.core.http.collected import Collected, CollectedChoice
from hoshikage.plugins.routes_openai.chats import ChatEncoder, Wording, chat_body, message_body
from tests.plugins.routes_openai.made import asked, events

OLD = Wording(old_style=True)
TWO_CALLS = (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g"))


def streamed(*parts: Any, wording: Wording | None = None, **fields: Any) -> list[dict[str, Any]]:
    """What a client reads of these events."""
    encoder = ChatEncoder(asked(stream=True, **fields), wording or Wording())
    return events(b"".join(encoder.encode(part) for part in parts))


def deltas(*parts: Any, **fields: Any) -> list[dict[str, Any]]:
    return [e["choices"][0]["delta"] for e in streamed(*parts, **fields)]


# --- in one piece ---


def test_text_is_a_message_of_text():
    """A message has content and no refusal, and nothing of what it has not."""
    assert {"role": "assistant", "content": "a", "refusal": None} == message_body(CollectedChoice("a"), Wording())
    assert "" == message_body(CollectedChoice(), Wording())["content"]


def test_calls_alone_have_no_content():
    """Where there are only calls, the content is null; arguments are text."""
    body = message_body(CollectedChoice("", "", TWO_CALLS), Wording())

    assert body["content"] is None
    assert [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ] == body["tool_calls"]


def test_calls_with_text_keep_it():
    """What the model says before it calls is content."""
    assert "Let me see." == message_body(CollectedChoice("Let me see.", "", TWO_CALLS), Wording())["content"]


def test_thinking_has_both_names():
    """Clients look for one name or the other."""
    body = message_body(CollectedChoice("b", "a"), Wording())

    assert ("a", "a", "b") == (body["reasoning_content"], body["reasoning"], body["content"])


def test_old_clients_read_one_function_call():
    """The old field holds the first call."""
    body = message_body(CollectedChoice("", "", TWO_CALLS), OLD)

    assert {"name": "f", "arguments": '{"a": 1}'} == body["function_call"]
    assert "tool_calls" not in body


@pytest.mark.parametrize(("wording", "reason"), [(Wording(), "tool_calls"), (OLD, "function_call")])
def test_every_answer_has_its_choice(wording: Wording, reason: str):
    """Choices are numbered, and each ends for its own reason."""
    answer = Collected(
        (CollectedChoice("a"), CollectedChoice("", "", TWO_CALLS)), Done("length", Usage(3, 2), more=("tool_calls",))
    )
    body = chat_body(asked(n=2), answer, wording)

    assert "chat.completion" == body["object"]
    assert [(0, "length"), (1, reason)] == [(c["index"], c["finish_reason"]) for c in body["choices"]]
    assert 5 == body["usage"]["total_tokens"]


def test_logprobs_come_where_asked_for():
    """Without the wish the field is null; with it, it is there even for an answer without tokens."""
    choices = (CollectedChoice("a", logprobs=(TokenLogprob(b"a", -1.0),)), CollectedChoice())
    answer = Collected(choices, Done("stop", Usage(), more=("stop",)))

    assert [None, None] == [c["logprobs"] for c in chat_body(asked(n=2), answer, Wording())["choices"]]
    shown = chat_body(asked(n=2, logprobs=True), answer, Wording())["choices"]
    assert [1, 0] == [len(c["logprobs"]["content"]) for c in shown]


# --- as a stream ---


def test_each_answer_begins_with_its_role():
    """The role comes once for each answer, with an empty content."""
    rows = streamed(Started(3), n=3)

    assert [0, 1, 2] == [r["choices"][0]["index"] for r in rows]
    assert [{"role": "assistant", "content": ""}] * 3 == [r["choices"][0]["delta"] for r in rows]


def test_a_stream_has_one_head():
    """All chunks share id, time and model."""
    rows = streamed(Started(3), Chunk("a"), Done("stop", Usage()), wording=Wording(include_usage=True))

    assert 1 == len({(r["id"], r["created"], r["model"], r["object"], r["system_fingerprint"]) for r in rows})
    assert ("chatcmpl-r1", "chat.completion.chunk", "m") == (rows[0]["id"], rows[0]["object"], rows[0]["model"])


def test_each_delta_says_one_thing():
    """A piece with thinking, text and a call is told in three events, in this order."""
    piece = Chunk("b", reasoning="a", tool_calls=(ToolCallDelta(0, "c1", "f"),))

    assert [
        {"reasoning_content": "a", "reasoning": "a"},
        {"content": "b"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
    ] == deltas(piece)


def test_calls_name_themselves_once():
    """Id, type and name come in a call's first delta, then pieces of arguments alone."""
    found = deltas(
        Chunk("", tool_calls=(ToolCallDelta(0, "c1", "f", "{"),)),
        Chunk("", tool_calls=(ToolCallDelta(0, arguments="}"), ToolCallDelta(1, "c2", "g"))),
    )

    assert [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "function": {"arguments": "}"}},
        {"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ] == [d["tool_calls"][0] for d in found]
    assert [1, 1, 1] == [len(d["tool_calls"]) for d in found]


def test_old_clients_read_pieces_of_one_call():
    """The old field has room for one call; further ones are left out."""
    found = deltas(
        Chunk(
            "", tool_calls=(ToolCallDelta(0, "c1", "f"), ToolCallDelta(0, arguments="{}"), ToolCallDelta(1, "c2", "g"))
        ),
        wording=OLD,
    )

    assert [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}] == found


def test_nothing_new_is_no_event():
    """A piece whose text is held back is passed over."""
    assert [] == streamed(Chunk(""))


def test_pieces_go_to_their_answer():
    """A piece of the second answer has its index."""
    assert [1] == [r["choices"][0]["index"] for r in streamed(Chunk("a", index=1), n=2)]


def test_logprobs_stand_on_the_first_event_of_a_piece():
    """The tokens of a piece are told of once, even where they have no text of their own."""
    token = TokenLogprob(b"a", -1.0)
    rows = streamed(
        Chunk("b", reasoning="a", logprobs=(token,)), Chunk("", logprobs=(token,)), Chunk("c"), logprobs=True
    )

    choices = [r["choices"][0] for r in rows]
    assert [True, False, True, False] == [c["logprobs"] is not None for c in choices]
    assert [{"content": "b"}, {}, {"content": "c"}] == [c["delta"] for c in choices[1:]]


def test_logprobs_that_nobody_asked_for_are_left_out():
    """An engine may report more than the client wants."""
    (row,) = streamed(Chunk("a", logprobs=(TokenLogprob(b"a", -1.0),)))

    assert row["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(("wording", "reason"), [(Wording(), "tool_calls"), (OLD, "function_call")])
def test_each_answer_ends_with_its_reason(wording: Wording, reason: str):
    """There is one end for each answer, with an empty delta."""
    rows = streamed(Done("tool_calls", Usage(), more=("length",)), wording=wording, n=2)

    assert [(0, {}, reason), (1, {}, "length")] == [
        (c["index"], c["delta"], c["finish_reason"]) for c in (r["choices"][0] for r in rows)
    ]


def test_usage_is_the_last_chunk_and_has_no_choice():
    """The counts come after the ends, and only where asked for; then the end mark."""
    end = Done("stop", Usage(1, 2))
    with_usage = streamed(end, wording=Wording(include_usage=True))
    data = ChatEncoder(asked(), Wording()).encode(end)

    assert ([], 3) == (with_usage[-1]["choices"], with_usage[-1]["usage"]["total_tokens"])
    assert ["stop"] == [r["choices"][0]["finish_reason"] for r in events(data)]
    assert data.endswith(b"data: [DONE]\n\n")


def test_signs_of_life_and_failures_are_no_chunks():
    """A heartbeat is a comment, a failure an error object with the end mark."""
    encoder = ChatEncoder(asked(), Wording())

    assert encoder.heartbeat().startswith(b":")
    assert ["full"] == [e["error"]["message"] for e in events(encoder.failure(QueueFull("full")))]
