from __future__ import annotations

import math
from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Served

on_model = pytest.mark.parametrize("served", [pytest.param("smollm2", marks=pytest.mark.model)], indirect=True)

PROMPT = "The stars are bright and the night is"
HELLO = [{"role": "user", "content": "Say hello to the stars, please."}]


def test_a_prompt_is_completed(openai_client: openai.OpenAI, served: Served):
    """A raw prompt has text, a reason and counts."""
    done = openai_client.completions.create(model=served.model, prompt=PROMPT, max_tokens=5, temperature=0)

    assert done.choices[0].text
    assert done.choices[0].finish_reason in {"stop", "length"}
    assert 0 < done.usage.completion_tokens <= 5


def test_stream_adds_up_to_the_whole_completion(openai_client: openai.OpenAI, served: Served):
    """Streamed pieces, put together, are the completion that comes without streaming."""
    wanted = {"model": served.model, "prompt": PROMPT, "max_tokens": 5, "temperature": 0}
    whole = openai_client.completions.create(**wanted).choices[0].text
    chunks = list(openai_client.completions.create(**wanted, stream=True))

    assert whole == "".join(c.choices[0].text for c in chunks)
    assert 1 == len([c for c in chunks if c.choices[0].finish_reason])


def test_several_prompts_have_choices_in_their_order(openai_client: openai.OpenAI, served: Served):
    """Each prompt is completed as if it were alone."""
    wanted = {"model": served.model, "max_tokens": 4, "temperature": 0}
    prompts = ["One two three four", "Red green blue"]
    alone = [openai_client.completions.create(**wanted, prompt=p).choices[0].text for p in prompts]
    together = openai_client.completions.create(**wanted, prompt=prompts)

    assert alone == [c.text for c in together.choices]
    assert [0, 1] == [c.index for c in together.choices]


def test_a_prompt_may_be_token_ids(openai_client: openai.OpenAI, served: Served):
    """Token ids do what their text does, and are repeated as text."""
    tokens = openai_client.post("/tokenize", body={"model": served.model, "content": PROMPT}, cast_to=object)["tokens"]
    wanted = {"model": served.model, "max_tokens": 4, "temperature": 0, "echo": True}

    by_text = openai_client.completions.create(**wanted, prompt=PROMPT).choices[0].text
    assert by_text == openai_client.completions.create(**wanted, prompt=tokens).choices[0].text
    assert by_text.startswith(PROMPT)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"logprobs": 6}, "logprobs"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"n": 17}, "n"),
    ],
)
def test_bad_fields_are_named(openai_client: openai.OpenAI, served: Served, change: dict, field: str):
    """What no engine does and what makes no sense is 400 and names the field."""
    body = {"model": served.model, "prompt": PROMPT, **change}

    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.post("/completions", body=body, cast_to=object)

    assert field == caught.value.param


@on_model
def test_completions_report_log_probabilities(openai_client: openai.OpenAI, served: Served):
    """The four lists belong together, and the tokens are the text."""
    (choice,) = openai_client.completions.create(
        model=served.model, prompt=PROMPT, max_tokens=5, logprobs=2, temperature=0
    ).choices

    found = choice.logprobs
    assert choice.text == "".join(found.tokens)
    assert found.tokens == [
        choice.text[at : at + len(token)] for at, token in zip(found.text_offset, found.tokens, strict=True)
    ]
    # Greedy choice takes the likeliest.
    assert found.token_logprobs == [pytest.approx(max(top.values())) for top in found.top_logprobs]
    assert {2} == {len(top) for top in found.top_logprobs}


@on_model
def test_chats_report_log_probabilities(openai_client: openai.OpenAI, served: Served):
    """Each token has its number and so many alternatives, the likeliest first; bytes add up to the text."""
    wanted = {
        "model": served.model,
        "messages": HELLO,
        "max_tokens": 6,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 3,
    }
    (choice,) = openai_client.chat.completions.create(**wanted).choices
    chunks = openai_client.chat.completions.create(**wanted, stream=True)

    rows = choice.logprobs.content
    assert choice.message.content == bytes(b for row in rows for b in row.bytes).decode()
    assert all(len(row.top_logprobs) == 3 for row in rows)
    assert all(row.top_logprobs[0].token == row.token and row.logprob <= 0 for row in rows)
    assert all(sum(math.exp(o.logprob) for o in row.top_logprobs) <= 1.001 for row in rows)
    streamed = [row for c in chunks if c.choices[0].logprobs for row in c.choices[0].logprobs.content]
    assert [r.token for r in rows] == [r.token for r in streamed]


@on_model
def test_log_probabilities_need_no_alternatives(openai_client: openai.OpenAI, served: Served):
    """Without `top_logprobs` each token has its own number only."""
    (choice,) = openai_client.chat.completions.create(
        model=served.model, messages=HELLO, max_tokens=3, logprobs=True
    ).choices

    assert [[], [], []] == [row.top_logprobs for row in choice.logprobs.content]


@on_model
def test_answers_of_one_request_differ(openai_client: openai.OpenAI, served: Served):
    """Several answers to one prompt are drawn each for itself."""
    done = openai_client.chat.completions.create(
        model=served.model, messages=HELLO, n=3, max_tokens=20, temperature=1.5, seed=7
    )

    assert 1 < len({c.message.content for c in done.choices})


@on_model
def test_a_time_limit_ends_an_answer(openai_client: openai.OpenAI, served: Served):
    """An answer that is not complete in time fails with its own status."""
    with pytest.raises(openai.InternalServerError) as caught:
        openai_client.chat.completions.create(
            model=served.model,
            messages=HELLO,
            max_tokens=400,
            extra_body={"timeout": 0.05, "ignore_eos": True},
        )

    assert (504, "deadline_exceeded") == (caught.value.status_code, caught.value.code)
