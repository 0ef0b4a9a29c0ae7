from __future__ import annotations

import math
from typing import TYPE_CHECKING

import httpx
import openai
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Served


def length(vector: list[float]) -> float:
    return math.sqrt(sum(x * x for x in vector))


def test_texts_become_vectors(openai_client: openai.OpenAI, served: Served):
    """Each text has one vector of length 1; the client asks for base64 by itself."""
    found = openai_client.embeddings.create(model=served.model, input=["a star", "the moon"])

    assert [0, 1] == [row.index for row in found.data]
    assert [pytest.approx(1, abs=1e-3)] * 2 == [length(row.embedding) for row in found.data]
    assert found.data[0].embedding != found.data[1].embedding
    assert found.usage.total_tokens == found.usage.prompt_tokens > 0


def test_numbers_are_the_same_in_both_ways_of_writing(openai_client: openai.OpenAI, served: Served):
    """Floats as JSON and as base64 differ by rounding only."""
    plain = openai_client.embeddings.create(model=served.model, input="a star", encoding_format="float")
    packed = openai_client.embeddings.create(model=served.model, input="a star", encoding_format="base64")
    raw = httpx.post(
        f"{served.url}/v1/embeddings", json={"model": served.model, "input": "a star", "encoding_format": "base64"}
    )

    assert isinstance(raw.json()["data"][0]["embedding"], str)
    assert isinstance(packed.data[0].embedding, str | list)
    assert pytest.approx(1, abs=1e-3) == length(plain.data[0].embedding)


def test_one_text_alone_has_the_vector_that_it_has_among_others(openai_client: openai.OpenAI, served: Served):
    """What stands beside a text does not change its vector."""
    alone = openai_client.embeddings.create(model=served.model, input="a star").data[0].embedding
    among = openai_client.embeddings.create(model=served.model, input=["the moon", "a star"]).data[1].embedding

    assert pytest.approx(alone, abs=1e-2) == among


def test_token_ids_have_vectors(openai_client: openai.OpenAI, served: Served):
    """Lists of token ids are inputs like texts."""
    tokens = httpx.post(f"{served.url}/tokenize", json={"model": served.model, "content": "a star"}, timeout=60)
    found = openai_client.embeddings.create(model=served.model, input=[tokens.json()["tokens"]] * 2)

    assert 2 == len(found.data)
    assert found.data[0].embedding == pytest.approx(found.data[1].embedding, abs=1e-2)


def test_vectors_can_be_cut(openai_client: openai.OpenAI, served: Served):
    """`dimensions` keeps the first numbers, brought to length 1 again."""
    found = openai_client.embeddings.create(model=served.model, input="a star", dimensions=4)

    assert 4 == len(found.data[0].embedding)
    assert pytest.approx(1, abs=1e-3) == length(found.data[0].embedding)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [1, "a"]}, "input"),
        ({"dimensions": 10**6}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_bad_fields_are_named(openai_client: openai.OpenAI, served: Served, change: dict, field: str):
    """An input without meaning and a wish beyond the model are 400 and name the field."""
    body = {"model": served.model, "input": "a star", **change}

    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.post("/embeddings", body=body, cast_to=object)

    assert field == caught.value.param


def test_too_long_a_text_is_refused(openai_client: openai.OpenAI, served: Served):
    """An input over the context is a 400 with both numbers, before anything is computed."""
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.embeddings.create(model=served.model, input=["a star", "star " * 20_000])

    assert "context_length_exceeded" == caught.value.code
    assert caught.value.body["n_prompt_tokens"] >= 20_000 > caught.value.body["n_ctx"]


# A real model computes a full context for minutes on a small machine.
@pytest.mark.parametrize("served", ["echo"], indirect=True)
def test_too_long_a_text_is_cut_where_allowed(openai_client: openai.OpenAI, served: Served):
    """With `truncate` the beginning of the input has a vector."""
    found = openai_client.embeddings.create(model=served.model, input="star " * 20_000, extra_body={"truncate": True})

    assert pytest.approx(1, abs=1e-3) == length(found.data[0].embedding)
