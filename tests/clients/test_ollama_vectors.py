from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ollama
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Served


@pytest.mark.parametrize("given", ["a star", ["a star"], ["a star", "the moon"]])
def test_texts_become_vectors(ollama_client: ollama.Client, served: Served, given: str | list[str]):
    """One text or several: each has a vector of length 1, with counts and durations."""
    found = ollama_client.embed(served.model, given)

    assert (1 if isinstance(given, str) else len(given)) == len(found.embeddings)
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-3) for vector in found.embeddings)
    assert found.prompt_eval_count > 0
    assert found.total_duration >= found.load_duration >= 0


@pytest.mark.parametrize("given", ["", []])
def test_nothing_to_embed_only_loads(ollama_client: ollama.Client, served: Served, given: str | list[str]):
    """The model is loaded, and there are no vectors."""
    assert [] == ollama_client.embed(served.model, given).embeddings
    assert f"{served.model}:latest" in [m.model for m in ollama_client.ps().models]


def test_vectors_can_be_cut(ollama_client: ollama.Client, served: Served):
    """`dimensions` keeps the first numbers, brought to length 1 again; more than there are is a 400."""
    (vector,) = ollama_client.embed(served.model, "a star", dimensions=4).embeddings
    with pytest.raises(ollama.ResponseError, match="dimensions"):
        ollama_client.embed(served.model, "a star", dimensions=10**6)

    assert 4 == len(vector)
    assert pytest.approx(1, abs=1e-3) == math.hypot(*vector)


def test_too_long_an_input_is_refused_where_it_must_not_be_cut(ollama_client: ollama.Client, served: Served):
    """The error has the words that clients know."""
    with pytest.raises(ollama.ResponseError) as caught:
        ollama_client.embed(served.model, "star " * 20_000, truncate=False)

    assert caught.value.status_code == 400
    assert "the input length exceeds the context length" in caught.value.error


@pytest.mark.parametrize("served", ["echo"], indirect=True)
def test_too_long_an_input_is_cut_by_default(ollama_client: ollama.Client, served: Served):
    """What is cut off does not count, in both routes."""
    long = "star " * 20_000

    assert ollama_client.embed(served.model, long).prompt_eval_count < 20_000
    assert ollama_client.embeddings(served.model, long).embedding


def test_the_older_route_gives_the_same_vector(ollama_client: ollama.Client, served: Served):
    """One text, one list of numbers."""
    old = ollama_client.embeddings(served.model, "a star").embedding
    (new,) = ollama_client.embed(served.model, "a star").embeddings

    assert pytest.approx(list(new), abs=1e-2) == list(old)


@pytest.mark.parametrize("call", ["embed", "embeddings"])
def test_a_model_to_embed_with_may_be_unknown(ollama_client: ollama.Client, call: str):
    """These two routes have words of their own for it, after which clients pull."""
    with pytest.raises(ollama.ResponseError) as caught:
        getattr(ollama_client, call)("nobody", "a star")

    assert (404, 'model "nobody" not found, try pulling it first') == (caught.value.status_code, caught.value.error)
