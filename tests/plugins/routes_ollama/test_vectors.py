from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hoshikage import Embeddings, EmbedRequest
from hoshikage.core.errors import ContextOverflow, ModelNotFound
from hoshikage.plugins.routes_ollama.format import error_body
from hoshikage.plugins.routes_ollama.vectors import embed_body, in_ollamas_words
from tests.plugins.routes_ollama.made import embed, embeddings, receipt, refusal

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ("", ()),
        ([], ()),
        (None, ()),
        (["a", ""], ("a", "")),
        ([""], ("",)),
    ],
)
def test_inputs(given: str | list[str] | None, inputs: tuple[str, ...]):
    """One text or several; an empty one alone is none, in a list it has its place."""
    assert inputs == embed(input=given).inputs


def test_what_is_left_out_is_unset():
    """By default an input that is too long is cut, and vectors are whole; 0 numbers of a vector are all of them."""
    plain = EmbedRequest("r1", "m", ("a",), truncate=True)

    assert plain == embed(input="a")
    assert plain == embed(input="a", truncate=None, dimensions=None, options=None, keep_alive=None, more=1)
    assert plain == embed(input="a", dimensions=0)


def test_every_field_arrives():
    """Whether to cut, how many numbers, and how long the model stays."""
    request = embed(input="a", truncate=False, dimensions=4, keep_alive="5m", options={"num_ctx": 5, "mirostat": None})

    assert EmbedRequest("r1", "m", ("a",), dimensions=4, truncate=False, keep_alive_s=300) == request


def test_the_older_route_takes_one_text():
    """It always cuts, and an empty text is none."""
    assert EmbedRequest("r1", "m", ("a",), truncate=True, keep_alive_s=0) == embeddings(prompt="a", keep_alive=0)
    assert () == embeddings(prompt="").inputs == embeddings().inputs


@pytest.mark.parametrize(
    ("ask", "fields", "field"),
    [
        (embed, {"input": 5}, "input"),
        (embed, {"input": ["a", 5]}, "input[1]"),
        (embed, {"input": [[1, 2]]}, "input[0]"),
        (embed, {"input": {"a": 1}}, "input"),
        (embed, {"truncate": "no"}, "truncate"),
        (embed, {"dimensions": -1}, "dimensions"),
        (embed, {"dimensions": "4"}, "dimensions"),
        (embed, {"options": {"temperature": "hot"}}, "options.temperature"),
        (embed, {"keep_alive": "soon"}, "keep_alive"),
        (embed, {"model": None}, "model"),
        (embeddings, {"prompt": ["a"]}, "prompt"),
        (embeddings, {"options": {"top_k": -1}}, "options.top_k"),
        (embeddings, {"model": ""}, "model"),
    ],
)
def test_bad_fields_are_named(ask: Callable[..., EmbedRequest], fields: dict[str, Any], field: str):
    """A wrong type and a value out of range are a 400."""
    assert field == refusal(ask, **fields).param


def test_an_answer_has_vectors_counts_and_durations():
    """Durations are nanoseconds."""
    found = Embeddings(((0.6, 0.8), (1.0, 0.0)), prompt_tokens=5)

    assert {
        "model": "m",
        "embeddings": ((0.6, 0.8), (1.0, 0.0)),
        "total_duration": 2_000_000_000,
        "load_duration": 1_000_000_000,
        "prompt_eval_count": 5,
    } == embed_body("m", found, receipt())


def test_an_unknown_model_is_told_in_these_routes_words():
    """Clients offer to pull a model when they read this."""
    error = in_ollamas_words(ModelNotFound("x"))

    assert 404 == error.status
    assert {"error": 'model "x" not found, try pulling it first'} == error_body(error)


@pytest.mark.parametrize(
    "message", ["input 0 has 9 tokens", "the input length exceeds the context length: input 0 has 9 tokens"]
)
def test_too_long_an_input_is_told_in_ollamas_words(message: str):
    """The words that clients look for come first and once, then the numbers."""
    error = in_ollamas_words(ContextOverflow(message, param="input", details={"n_ctx": 5}))

    assert "the input length exceeds the context length: input 0 has 9 tokens" == error.message
    assert ("input", 400, {"n_ctx": 5}) == (error.param, error.status, error.details)
