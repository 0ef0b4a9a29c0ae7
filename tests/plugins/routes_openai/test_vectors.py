from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from hoshikage import Embeddings, EmbedRequest, RerankRequest, Scores
from hoshikage.plugins.routes_openai.vectors import embed_request, embeddings_body, rerank_body, rerank_request
from tests.plugins.routes_openai.made import embeddings, refusal, rerank


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
    ],
)
def test_inputs_are_texts_or_token_ids(given: Any, inputs: Any):
    """Each of the four ways to send inputs is understood."""
    assert inputs == embed_request(embeddings(input=given), "r1").inputs


def test_wishes_about_vectors_arrive():
    """Dimensions, cutting and keeping are passed on."""
    body = embeddings(dimensions=3, truncate=True, keep_alive="1m", encoding_format="float")

    assert EmbedRequest("r1", "m", ("hello",), 3, truncate=True, keep_alive_s=60) == embed_request(body, "r1")


@pytest.mark.parametrize(
    ("given", "field"),
    [("", "input"), (["a", ""], "input[1]"), ([[]], "input[0]"), (["a"] * 2049, "input"), ([1, "a"], "input")],
)
def test_inputs_without_meaning_are_refused(given: Any, field: str):
    """An empty input, too many and a mixture are named."""
    assert field == refusal(embed_request, embeddings(input=given), "r1").param


@pytest.mark.parametrize("encoding", [None, "float"])
def test_vectors_are_lists_of_numbers(encoding: Any):
    """Without a wish, vectors are numbers; each has its place, and the counts are there."""
    body = embeddings_body("m", Embeddings(((0.5, 1.0), (1.0, 0.0)), 7), encoding)

    assert "list" == body["object"]
    assert [(0, [0.5, 1.0]), (1, [1.0, 0.0])] == [(d["index"], d["embedding"]) for d in body["data"]]
    assert {"embedding"} == {d["object"] for d in body["data"]}
    assert {"prompt_tokens": 7, "total_tokens": 7} == body["usage"]


def test_base64_is_little_endian_float32():
    """The official client reads four bytes a number, the lowest first."""
    (row,) = embeddings_body("m", Embeddings(((0.5, -2.0),), 1), "base64")["data"]

    assert (0.5, -2.0) == struct.unpack("<2f", base64.b64decode(row["embedding"]))


def test_documents_are_texts_or_objects():
    """Both ways to send a document are understood, mixed too."""
    body = rerank(documents=["moon", {"text": "star"}], keep_alive=5)

    assert RerankRequest("r1", "m", "sun", ("moon", "star"), 5) == rerank_request(body, "r1")


def test_the_most_relevant_is_first():
    """Results are sorted by relevance, equals in the order in which they came."""
    body = rerank_body(rerank(documents=["a", "b", "c", "d"]), Scores((-1.0, 2.0, 0.5, 2.0), 9), "r1")

    assert [(1, 2.0), (3, 2.0), (2, 0.5), (0, -1.0)] == [(r["index"], r["relevance_score"]) for r in body["results"]]
    assert "document" not in body["results"][0]
    assert (9, 9) == (body["usage"]["total_tokens"], body["meta"]["tokens"]["input_tokens"])


@pytest.mark.parametrize(("top_n", "count"), [(1, 1), (2, 2), (5, 2), (None, 2)])
def test_only_so_many_results(top_n: int | None, count: int):
    """`top_n` cuts the list; more than there are is all."""
    assert count == len(rerank_body(rerank(top_n=top_n), Scores((1.0, 2.0), 9), "r1")["results"])


def test_documents_come_back_where_asked_for():
    """Each result has the text of its own document."""
    body = rerank_body(rerank(return_documents=True), Scores((1.0, 2.0), 9), "r1")

    assert ["star", "moon"] == [r["document"]["text"] for r in body["results"]]
