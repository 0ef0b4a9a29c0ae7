from __future__ import annotations

from typing import TYPE_CHECKING, cast

import httpx
import pytest

from hoshikage import ModelRecord
from hoshikage.plugins.routes_openai.vector_routes import model_or_only
from tests.plugins.routes_openai.made import refusal

if TYPE_CHECKING:
    from hoshikage import ServerApi
    from tests.server import ServerProcess


class Offers:
    """Of the server, the list of models."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def models(self) -> list[ModelRecord]:
        return [ModelRecord(name) for name in self._names]


def chosen(name: str | None, *names: str) -> str:
    return model_or_only(cast("ServerApi", Offers(*names)), name)


def test_the_only_model_needs_no_name():
    """With one model there is nothing to choose; a name that is given counts all the same."""
    assert ["one", "other"] == [chosen(None, "one"), chosen("other", "one")]


@pytest.mark.parametrize(("names", "count"), [((), "0"), (("a", "b"), "2")])
def test_a_choice_among_models_must_be_made(names: tuple[str, ...], count: str):
    """With none or several, the model must be named."""
    error = refusal(chosen, None, *names)

    assert "model" == error.param
    assert count in error.message


@pytest.mark.parametrize("path", ["/tokenize", "/v1/tokenize"])
def test_tokens_go_there_and_back(echo_server: ServerProcess, path: str):
    """A text's tokens, put together again, are the text; both paths do the same."""
    text = "one two 星"
    tokens = httpx.post(f"{echo_server.url}{path}", json={"content": text, "model": "echo"}).json()["tokens"]
    back = httpx.post(f"{echo_server.url}{path.replace('token', 'detoken')}", json={"tokens": tokens, "model": "echo"})

    assert all(isinstance(token, int) for token in tokens)
    assert {"content": text} == back.json()


def test_no_text_has_no_tokens(echo_server: ServerProcess):
    """The empty text is a text."""
    answer = httpx.post(f"{echo_server.url}/tokenize", json={"content": "", "model": "echo"})

    assert {"tokens": []} == answer.json()


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v1/reranking"])
def test_every_path_of_rerank_answers(echo_server: ServerProcess, path: str):
    """The three paths that clients know give the same results, the most relevant first."""
    body = {"model": "echo", "query": "sun", "documents": ["moon", {"text": "sun"}], "return_documents": True}
    results = httpx.post(f"{echo_server.url}{path}", json=body).json()["results"]

    assert {0, 1} == {r["index"] for r in results}
    assert results[0]["relevance_score"] >= results[1]["relevance_score"]
    assert ["moon", "sun"] == [r["document"]["text"] for r in sorted(results, key=lambda r: r["index"])]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/embeddings", {"model": "echo", "input": ""}, "input"),
        ("/rerank", {"model": "echo", "query": "a", "documents": []}, "documents"),
        ("/v1/reranking", {"model": "echo", "documents": ["a"]}, "query"),
        ("/tokenize", {"model": "echo"}, "content"),
        ("/detokenize", {"model": "echo", "tokens": "abc"}, "tokens"),
        ("/v1/detokenize", {"model": "echo", "tokens": [-1]}, "tokens[0]"),
    ],
)
def test_bad_fields_are_named_on_every_path(echo_server: ServerProcess, path: str, body: dict, field: str):
    """Errors have the protocol's shape, on the paths without `/v1` too."""
    answer = httpx.post(f"{echo_server.url}{path}", json=body)

    assert 400 == answer.status_code
    assert field == answer.json()["error"]["param"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/rerank", "/tokenize", "/detokenize"])
def test_unknown_models_are_not_found(echo_server: ServerProcess, path: str):
    """A name that nobody has is 404 everywhere."""
    body = {"model": "nobody", "input": "a", "query": "a", "documents": ["a"], "content": "a", "tokens": [1]}
    answer = httpx.post(f"{echo_server.url}{path}", json=body)

    assert (404, "model_not_found") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize("path", ["/rerank", "/tokenize", "/detokenize", "/v1/embeddings"])
def test_the_wrong_method_has_the_protocols_shape(echo_server: ServerProcess, path: str):
    """Looking at a path that wants a body is 405, as an error object."""
    answer = httpx.get(f"{echo_server.url}{path}")

    assert (405, "method_not_allowed") == (answer.status_code, answer.json()["error"]["code"])
