from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Served

HELLO = [{"role": "user", "content": "Say hello to the stars, please."}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def test_models_are_listed(openai_client: openai.OpenAI, served: Served):
    """The list holds the served model."""
    names = [m.id for m in openai_client.models.list()]

    assert served.model in names


def test_one_model_is_found_whatever_its_case_and_tag(openai_client: openai.OpenAI, served: Served):
    """A name is found in any case and with the tag that means the newest."""
    found = openai_client.models.retrieve(f"{served.model.upper()}:latest")

    assert served.model == found.id


def test_unknown_model_to_retrieve_is_404(openai_client: openai.OpenAI):
    """An unknown name is not found, in the protocol's own error class."""
    with pytest.raises(openai.NotFoundError) as caught:
        openai_client.models.retrieve("no-such/model")

    assert caught.value.code == "model_not_found"


def test_chat_answers_in_one_piece(openai_client: openai.OpenAI, served: Served):
    """A chat gives text, a finish reason and consistent token counts."""
    done = openai_client.chat.completions.create(model=served.model, messages=HELLO, max_tokens=8, temperature=0)

    choice, usage = done.choices[0], done.usage
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in {"stop", "length"}
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens <= 8


def test_stream_adds_up_to_the_whole_answer(openai_client: openai.OpenAI, served: Served):
    """Streamed pieces, put together, are the answer that comes without streaming."""
    wanted = {"model": served.model, "messages": HELLO, "max_tokens": 12, "temperature": 0}
    whole = openai_client.chat.completions.create(**wanted).choices[0].message.content

    chunks = list(openai_client.chat.completions.create(**wanted, stream=True))

    assert whole == "".join(c.choices[0].delta.content or "" for c in chunks)


def test_stream_has_one_id_one_role_and_one_end(openai_client: openai.OpenAI, served: Served):
    """All chunks share an id; the role comes once, first; the finish reason once, last."""
    chunks = list(openai_client.chat.completions.create(model=served.model, messages=HELLO, max_tokens=5, stream=True))

    roles = [c.choices[0].delta.role for c in chunks]
    ends = [c.choices[0].finish_reason for c in chunks]
    assert len({c.id for c in chunks}) == 1
    assert roles[0] == "assistant"
    assert not any(roles[1:])
    assert ends[-1] in {"stop", "length"}
    assert not any(ends[:-1])


def test_usage_comes_only_when_asked_for(openai_client: openai.OpenAI, served: Served):
    """With `include_usage` one more chunk has the counts and no choice."""
    wanted = {"model": served.model, "messages": HELLO, "max_tokens": 5, "stream": True}
    plain = list(openai_client.chat.completions.create(**wanted))
    asked = list(openai_client.chat.completions.create(**wanted, stream_options={"include_usage": True}))

    assert all(c.usage is None and c.choices for c in plain)
    assert asked[-1].choices == []
    assert asked[-1].usage.completion_tokens <= 5


def test_the_stream_helper_builds_one_message(openai_client: openai.OpenAI, served: Served):
    """The client's own accumulator ends with one assistant message."""
    # The helper takes a cut answer for an error, so the question must have a short one.
    question = [{"role": "user", "content": "What is the capital of Japan? Answer in one sentence."}]
    with openai_client.chat.completions.stream(model=served.model, messages=question, temperature=0) as stream:
        final = stream.get_final_completion()

    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].message.content


def test_content_parts_of_text_are_joined(openai_client: openai.OpenAI, served: Served):
    """Text parts count as one text."""
    parts = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]
    done = openai_client.chat.completions.create(
        model=served.model, messages=[{"role": "user", "content": parts}], max_tokens=4
    )

    assert done.choices[0].message.content


def test_max_tokens_ends_with_length(openai_client: openai.OpenAI, served: Served):
    """An answer cut by `max_tokens` says so and has exactly that many tokens."""
    done = openai_client.chat.completions.create(
        model=served.model, messages=HELLO, max_completion_tokens=2, logit_bias=None
    )

    assert done.choices[0].finish_reason == "length"
    assert done.usage.completion_tokens == 2


def test_unknown_model_is_404(openai_client: openai.OpenAI):
    """Chatting with an unknown model is not found."""
    with pytest.raises(openai.NotFoundError) as caught:
        openai_client.chat.completions.create(model="nobody", messages=HELLO)

    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"stop": [1]}, "stop[0]"),
        ({"seed": "x"}, "seed"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"9" * 30: 1}}, "logit_bias"),
        ({"top_k": 2**31}, "top_k"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"max_tokens": 2**40}, "max_tokens"),
        ({"n": 17}, "n"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "climate"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"grammar": "root ::= x", "guided_regex": "x"}, "guided_regex"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"lora": [{"scale": 1}]}, "lora[0].name"),
        ({"timeout": -1}, "timeout"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "messages[0].content",
        ),
    ],
)
def test_bad_fields_are_named(openai_client: openai.OpenAI, served: Served, change: dict, field: str):
    """A wrong type, a value out of range and a request beyond the model are 400 and name the field."""
    body = {"model": served.model, "messages": HELLO, **change}

    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.post("/chat/completions", body=body, cast_to=object)

    assert field == caught.value.param
    assert field in caught.value.message


def test_the_error_of_an_image_names_the_model(openai_client: openai.OpenAI, served: Served):
    """An image is refused with the name of the model that cannot see it."""
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]

    with pytest.raises(openai.BadRequestError, match=f"image input is not supported by model '{served.model}'"):
        openai_client.chat.completions.create(model=served.model, messages=[{"role": "user", "content": parts}])


def test_too_many_answers_name_the_limit(openai_client: openai.OpenAI, served: Served):
    """A client learns how many answers it may have."""
    with pytest.raises(openai.BadRequestError, match="16"):
        openai_client.chat.completions.create(model=served.model, messages=HELLO, n=17)


def test_several_answers_come_together(openai_client: openai.OpenAI, served: Served):
    """`n` answers are numbered, and their prompt is counted once."""
    wanted = {"model": served.model, "messages": HELLO, "max_tokens": 4}
    one = openai_client.chat.completions.create(**wanted)
    done = openai_client.chat.completions.create(**wanted, n=3)

    assert [0, 1, 2] == [choice.index for choice in done.choices]
    assert all(choice.message.content for choice in done.choices)
    assert one.usage.prompt_tokens == done.usage.prompt_tokens
    assert 3 < done.usage.completion_tokens <= 12


def test_several_answers_stream_side_by_side(openai_client: openai.OpenAI, served: Served):
    """Each of the `n` answers has its own role, text and end in the stream."""
    chunks = openai_client.chat.completions.create(
        model=served.model, messages=HELLO, max_tokens=4, n=3, stream=True, temperature=0
    )
    choices = [c.choices[0] for c in chunks]

    assert [0, 1, 2] == sorted(c.index for c in choices if c.delta.role)
    assert [0, 1, 2] == sorted(c.index for c in choices if c.finish_reason)
    assert {0, 1, 2} == {c.index for c in choices if c.delta.content}


def test_null_and_unknown_fields_are_passed_over(openai_client: openai.OpenAI, served: Served):
    """`null` is unset, and a field that nobody knows does no harm."""
    done = openai_client.chat.completions.create(
        model=served.model,
        messages=HELLO,
        max_tokens=2,
        extra_body={"temperature": None, "stop": None, "tools": [], "store": True, "mystery": {"a": 1}},
    )

    assert done.choices[0].finish_reason == "length"


def test_too_long_a_prompt_names_both_numbers(openai_client: openai.OpenAI, served: Served):
    """A prompt over the context is 400 with its own length and the context's."""
    long = [{"role": "user", "content": "star " * 20_000}]

    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            openai_client.chat.completions.create(model=served.model, messages=long, stream=stream)
        error = caught.value
        assert error.code == "context_length_exceeded"
        assert error.body["n_prompt_tokens"] >= 20_000 > error.body["n_ctx"]
        assert str(error.body["n_ctx"]) in error.message
        assert str(error.body["n_prompt_tokens"]) in error.message


def test_errors_leave_the_loaded_model_alone(openai_client: openai.OpenAI, served: Served):
    """After every kind of refused request, the same loaded model goes on answering."""
    openai_client.chat.completions.create(model=served.model, messages=HELLO, max_tokens=1)
    before = openai_client.get("/status", cast_to=object)["loaded"]
    with pytest.raises(openai.NotFoundError):
        openai_client.chat.completions.create(model="nobody", messages=HELLO)
    with pytest.raises(openai.BadRequestError):
        openai_client.post("/chat/completions", body={"model": served.model}, cast_to=object)

    after = openai_client.get("/status", cast_to=object)["loaded"]
    assert [(m["name"], m["since"], m["pid"]) for m in before] == [(m["name"], m["since"], m["pid"]) for m in after]


def test_request_id_comes_back(openai_client: openai.OpenAI, served: Served):
    """The id that a client sends is the id in the answer's header."""
    raw = openai_client.chat.completions.with_raw_response.create(
        model=served.model, messages=HELLO, max_tokens=1, extra_headers={"X-Request-Id": "my-id-7"}
    )

    assert raw.headers["x-request-id"] == "my-id-7"
