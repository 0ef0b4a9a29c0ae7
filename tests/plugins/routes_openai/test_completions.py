from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Chunk, Done, Started, TokenLogprob, Usage
from hoshikage.core.errors import QueueFull
from hoshikage.core.http.collected import Collected, CollectedChoice
from hoshikage.plugins.routes_openai.completions import (
    CompletionEncoder,
    Layout,
    completion_body,
    completion_requests,
    echoes,
)
from tests.plugins.routes_openai.made import completion, events, refusal

A = TokenLogprob(b"a", -1.0)


def requests(**fields: Any) -> Any:
    return completion_requests(completion(**fields), "r1")


def layout(*prompts: str, **fields: Any) -> Layout:
    return Layout("r1", "m", prompts or ("",), **fields)


def streamed(shape: Layout, *parts: Any) -> list[dict[str, Any]]:
    encoder = CompletionEncoder(shape)
    return events(b"".join(encoder.encode(part) for part in parts))


# --- requests ---


def test_a_prompt_goes_to_the_model_as_it_stands():
    """One text is one request without messages, under the client's own id."""
    (one,) = requests(max_tokens=5, n=2, suffix="end", logprobs=3, temperature=0)

    assert ("r1", "once upon", "end", 5, 2, 3) == (
        one.request_id,
        one.prompt,
        one.suffix,
        one.max_tokens,
        one.n,
        one.logprobs,
    )
    assert () == one.messages
    assert 0 == one.sampling.temperature


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        (["a", "b"], ["a", "b"]),
        ([1, 2], [(1, 2)]),
        ([[1], [2, 3]], [(1,), (2, 3)]),
        ("", [""]),
    ],
)
def test_every_prompt_is_a_request(prompt: Any, prompts: list[Any]):
    """Several prompts are several requests, each with an id of its own."""
    found = requests(prompt=prompt)

    assert prompts == [one.prompt for one in found]
    assert len(found) == len({one.request_id for one in found})
    assert all(one.request_id.startswith("r1") for one in found)


def test_a_form_holds_for_completions_too():
    """The fields that llama.cpp's server and vLLM have for chats work here as well."""
    (one,) = requests(grammar="root ::= x", lora=[{"id": 1}], keep_alive=5, timeout=9, ignore_eos=True)

    assert ("gbnf", "1", 5, 9, True) == (
        one.constraint.kind,
        one.adapters[0].name,
        one.keep_alive_s,
        one.deadline_s,
        one.sampling.ignore_eos,
    )


@pytest.mark.parametrize("fields", [{"best_of": 1}, {"best_of": 1, "n": 2}, {"best_of": 2, "n": 2}, {"suffix": ""}])
def test_what_asks_for_nothing_more_is_let_through(fields: dict[str, Any]):
    """As many answers as are wanted are no choice among more; an empty suffix is none."""
    assert requests(**fields)[0].suffix is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"best_of": 3}, "best_of"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"prompt": [1, 2], "suffix": "end"}, "suffix"),
        ({"prompt": ["a", [1]], "suffix": "end"}, "suffix"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": ["a"] * 257}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
    ],
)
def test_what_no_engine_does_is_refused_by_name(fields: dict[str, Any], field: str):
    """A wish beyond the server names its field."""
    assert field == refusal(requests, **fields).param


def test_a_prompt_is_repeated_for_each_of_its_answers():
    """Choices go through the prompts, and within each through its answers."""
    assert ("a", "a", "b", "b") == echoes(["a", "b"], 2)


# --- in one piece ---


def test_choices_have_text_and_reason():
    """Each choice has its text, after the prompt where it is to be repeated."""
    answer = Collected((CollectedChoice("x"), CollectedChoice("y")), Done("stop", Usage(3, 2), more=("length",)))
    body = completion_body(layout("a ", "b "), answer)

    assert ("cmpl-r1", "text_completion", 5) == (body["id"], body["object"], body["usage"]["total_tokens"])
    assert [
        {"index": 0, "text": "a x", "logprobs": None, "finish_reason": "stop"},
        {"index": 1, "text": "b y", "logprobs": None, "finish_reason": "length"},
    ] == body["choices"]


def test_each_choice_counts_its_own_characters():
    """The offsets of one choice do not depend on another."""
    answer = Collected((CollectedChoice("a", logprobs=(A,)),) * 2, Done("stop", Usage(), more=("stop",)))
    body = completion_body(layout("", "", logprobs=0), answer)

    assert [[0], [0]] == [c["logprobs"]["text_offset"] for c in body["choices"]]


# --- as a stream ---


def test_a_stream_has_text_then_ends():
    """Pieces have the shape of the whole; each choice has one end; the end mark is last."""
    rows = streamed(layout("", ""), Started(1), Chunk("x", index=1), Chunk(""), Done("stop", Usage(), more=("length",)))

    assert [(1, "x", None), (0, "", "stop"), (1, "", "length")] == [
        (c["index"], c["text"], c["finish_reason"]) for c in (r["choices"][0] for r in rows)
    ]
    assert {("cmpl-r1", "text_completion")} == {(r["id"], r["object"]) for r in rows}
    assert CompletionEncoder(layout()).encode(Done("stop", Usage())).endswith(b"data: [DONE]\n\n")


def test_the_prompt_comes_first_where_it_is_repeated():
    """Each choice begins with its prompt."""
    rows = streamed(layout("a ", "b "), Started(1), Chunk("x"))

    assert [(0, "a "), (1, "b "), (0, "x")] == [(r["choices"][0]["index"], r["choices"][0]["text"]) for r in rows]


def test_streamed_offsets_go_on_by_choice():
    """Offsets count on from chunk to chunk, each choice by itself; tokens without text are told of."""
    rows = streamed(
        layout("", "", logprobs=0),
        Chunk("a", logprobs=(A,)),
        Chunk("", logprobs=(A,)),
        Chunk("a", index=1, logprobs=(A,)),
    )

    assert [[0], [1], [0]] == [r["choices"][0]["logprobs"]["text_offset"] for r in rows]


def test_unasked_logprobs_are_left_out():
    """Without the wish the field is null."""
    assert [None] == [r["choices"][0]["logprobs"] for r in streamed(layout(), Chunk("a", logprobs=(A,)))]


def test_usage_comes_for_those_who_ask():
    """The counts are a chunk without choices."""
    rows = streamed(layout(include_usage=True), Done("stop", Usage(1, 2)))

    assert ([], 3) == (rows[-1]["choices"], rows[-1]["usage"]["total_tokens"])


def test_signs_of_life_and_failures_are_no_chunks():
    """A heartbeat is a comment, a failure an error object."""
    encoder = CompletionEncoder(layout())

    assert encoder.heartbeat().startswith(b":")
    assert ["full"] == [e["error"]["message"] for e in events(encoder.failure(QueueFull("full")))]
