from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.wire import chat, sse_events

if TYPE_CHECKING:
    from tests.server import ServerProcess


def complete(server: ServerProcess, **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/completions", json={"model": "echo", **fields})


def test_several_prompts_are_one_answer(echo_server: ServerProcess):
    """Each prompt has its choices in its place, and the counts are those of all."""
    body = complete(echo_server, prompt=["a b", "c"], n=2).json()

    assert [(0, "a b"), (1, "a b"), (2, "c"), (3, "c")] == [(c["index"], c["text"]) for c in body["choices"]]
    assert (3, 6) == (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"])


def test_a_prompt_is_repeated_where_asked_for(echo_server: ServerProcess):
    """With `echo` the prompt stands before the answer."""
    assert ["a ba b", "cc"] == [
        c["text"] for c in complete(echo_server, prompt=["a b", "c"], echo=True).json()["choices"]
    ]


def test_token_ids_are_a_prompt(echo_server: ServerProcess):
    """A list of token ids does what its text would do, `echo` included."""
    tokens = httpx.post(f"{echo_server.url}/tokenize", json={"content": "a b", "model": "echo"}).json()["tokens"]
    body = complete(echo_server, prompt=[tokens, tokens], echo=True).json()

    assert ["a ba b"] * 2 == [c["text"] for c in body["choices"]]


def test_streamed_prompts_add_up(echo_server: ServerProcess):
    """Pieces of several prompts come mixed, each under its own number, with one end for each and one at last."""
    body = {"model": "echo", "prompt": ["a b", "c d"], "stream": True, "stream_options": {"include_usage": True}}
    texts, reasons = ["", ""], []
    with httpx.stream("POST", f"{echo_server.url}/v1/completions", json=body) as response:
        *events, last = sse_events(response)
    for event in events:
        (choice,) = event["choices"]
        texts[choice["index"]] += choice["text"]
        reasons.append(choice["finish_reason"])

    assert ["a b", "c d"] == texts
    assert 2 == reasons.count("stop")
    assert 8 == last["usage"]["total_tokens"]


def test_one_bad_prompt_refuses_all(echo_server: ServerProcess):
    """A prompt over the context is a 400 for the whole request."""
    answer = complete(echo_server, prompt=["a", "star " * 20_000])

    assert (400, "context_length_exceeded") == (answer.status_code, answer.json()["error"]["code"])


def test_one_bad_prompt_ends_a_stream_that_has_begun(echo_server: ServerProcess):
    """Where another prompt's answer is on its way, the error comes in the stream, as its last event."""
    *_, last = sse_events(complete(echo_server, prompt=["a", "star " * 20_000], stream=True))

    assert "context_length_exceeded" == last["error"]["code"]


def test_an_unknown_model_is_not_found(echo_server: ServerProcess):
    """Completions look for the model before anything else."""
    assert 404 == complete(echo_server, prompt="a", model="nobody").status_code


def test_a_streamed_chat_has_the_protocols_order(echo_server: ServerProcess):
    """Role, then text, then the reason of the end, then the counts, then the end mark."""
    body = chat("one two", stream=True, stream_options={"include_usage": True})
    with httpx.stream("POST", f"{echo_server.url}/v1/chat/completions", json=body) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]

    marks = ['"role":', '"content":"one"', '"content":" two"', '"finish_reason":"stop"', '"usage":', "[DONE]"]
    assert [True] * len(marks) == [mark in line for mark, line in zip(marks, lines, strict=True)]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
def test_answers_carry_japanese_as_it_is(echo_server: ServerProcess, path: str):
    """Answers are JSON in UTF-8 without escapes."""
    body = {"model": "echo", "prompt": "星影", "input": "星影", "messages": [{"role": "user", "content": "星影"}]}
    answer = httpx.post(f"{echo_server.url}{path}", json=body)

    assert 200 == answer.status_code
    assert "\\u" not in answer.text
    assert answer.headers["content-type"].startswith("application/json")
