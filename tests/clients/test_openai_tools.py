from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

if TYPE_CHECKING:
    import openai

    from tests.clients.conftest import Served

on_echo = pytest.mark.parametrize("served", ["echo"], indirect=True)
on_model = pytest.mark.parametrize("served", [pytest.param("smollm2", marks=pytest.mark.model)], indirect=True)

WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Tokyo", "Osaka"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": WEATHER}]
QUESTION = [{"role": "user", "content": "What is the weather in Tokyo?"}]


class Star(BaseModel):
    name: Literal["Sirius", "Vega"]
    bright: bool


def calling(*cities: str) -> list[dict[str, str]]:
    """What makes echo call the weather of these cities: it answers with the last message."""
    calls = [f'<tool_call>\n{{"name": "weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>' for city in cities]
    return [{"role": "user", "content": "\n".join(calls)}]


@on_echo
def test_a_call_comes_in_place_of_text(openai_client: openai.OpenAI, served: Served):
    """A call has an id, a name and arguments as text; there is no content."""
    done = openai_client.chat.completions.create(model=served.model, messages=calling("Tokyo"), tools=TOOLS)

    (choice,) = done.choices
    (call,) = choice.message.tool_calls
    assert ("function", "weather", {"city": "Tokyo"}) == (
        call.type,
        call.function.name,
        json.loads(call.function.arguments),
    )
    assert call.id
    assert choice.message.content is None
    assert "tool_calls" == choice.finish_reason


@on_echo
def test_several_calls_have_ids_of_their_own(openai_client: openai.OpenAI, served: Served):
    """Parallel calls keep their order; where they are forbidden, one is left."""
    wanted = {"model": served.model, "messages": calling("Tokyo", "Osaka"), "tools": TOOLS}
    both = openai_client.chat.completions.create(**wanted).choices[0].message.tool_calls
    one = openai_client.chat.completions.create(**wanted, parallel_tool_calls=False).choices[0].message.tool_calls

    assert ["Tokyo", "Osaka"] == [json.loads(c.function.arguments)["city"] for c in both]
    assert 2 == len({c.id for c in both})
    assert ["Tokyo"] == [json.loads(c.function.arguments)["city"] for c in one]


@on_echo
def test_streamed_calls_add_up(openai_client: openai.OpenAI, served: Served):
    """The client's own accumulator ends with the calls that come without streaming."""
    with openai_client.chat.completions.stream(
        model=served.model, messages=calling("Tokyo", "Osaka"), tools=TOOLS
    ) as stream:
        (choice,) = stream.get_final_completion().choices

    assert ["Tokyo", "Osaka"] == [json.loads(c.function.arguments)["city"] for c in choice.message.tool_calls]
    assert ["weather"] * 2 == [c.function.name for c in choice.message.tool_calls]
    assert "tool_calls" == choice.finish_reason


@on_echo
def test_a_streamed_call_names_itself_once(openai_client: openai.OpenAI, served: Served):
    """Id, type and name come in the first delta of a call, then arguments alone."""
    chunks = openai_client.chat.completions.create(
        model=served.model, messages=calling("Tokyo"), tools=TOOLS, stream=True
    )
    deltas = [d for c in chunks for d in c.choices[0].delta.tool_calls or ()]

    assert [(True, "function", "weather")] == [(bool(d.id), d.type, d.function.name) for d in deltas[:1]]
    assert all((d.id, d.type, d.function.name) == (None, None, None) for d in deltas[1:])
    assert {"city": "Tokyo"} == json.loads("".join(d.function.arguments or "" for d in deltas))


@on_echo
def test_a_conversation_with_calls_goes_on(openai_client: openai.OpenAI, served: Served):
    """A call's message and its result can be sent back as they came."""
    first = openai_client.chat.completions.create(model=served.model, messages=calling("Tokyo"), tools=TOOLS)
    message = first.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny today"}
    second = openai_client.chat.completions.create(
        model=served.model, messages=[*QUESTION, message, result], tools=TOOLS
    )

    assert "sunny today" == second.choices[0].message.content
    assert "stop" == second.choices[0].finish_reason


@on_echo
def test_old_functions_are_called_in_old_words(openai_client: openai.OpenAI, served: Served):
    """Who offers functions reads a function call, streamed or not."""
    wanted = {"model": served.model, "messages": calling("Tokyo"), "functions": [WEATHER]}
    (choice,) = openai_client.chat.completions.create(**wanted).choices
    chunks = list(openai_client.chat.completions.create(**wanted, stream=True))

    assert ("weather", "function_call") == (choice.message.function_call.name, choice.finish_reason)
    assert choice.message.tool_calls is None
    pieces = [c.choices[0].delta.function_call for c in chunks if c.choices[0].delta.function_call]
    assert choice.message.function_call.arguments == "".join(p.arguments or "" for p in pieces)
    assert "function_call" == chunks[-1].choices[0].finish_reason


@on_echo
def test_thinking_has_both_names(openai_client: openai.OpenAI, served: Served):
    """Thinking stands apart from the content, under the names of both families of servers, streamed or not."""
    wanted = {"model": served.model, "messages": [{"role": "user", "content": "<think>a</think>b"}]}
    message = openai_client.chat.completions.create(**wanted).choices[0].message
    deltas = [c.choices[0].delta for c in openai_client.chat.completions.create(**wanted, stream=True)]

    assert ("b", "a", "a") == (message.content, message.reasoning_content, message.reasoning)
    assert "a" == "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
    assert "b" == "".join(d.content or "" for d in deltas)


@on_echo
def test_an_answer_is_read_as_a_class(openai_client: openai.OpenAI, served: Served):
    """The client's own reading of structured answers works."""
    done = openai_client.chat.completions.parse(
        model=served.model,
        messages=[{"role": "user", "content": '{"name": "Vega", "bright": true}'}],
        response_format=Star,
    )

    assert Star(name="Vega", bright=True) == done.choices[0].message.parsed


@on_model
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_required_call_is_made(openai_client: openai.OpenAI, served: Served, choice: Any):
    """Whatever the model would rather say, it calls, and the arguments follow the schema."""
    done = openai_client.chat.completions.create(
        model=served.model, messages=QUESTION, tools=TOOLS, tool_choice=choice, temperature=0, max_tokens=200
    )

    (answer,) = done.choices
    assert "tool_calls" == answer.finish_reason
    assert all(c.function.name == "weather" for c in answer.message.tool_calls)
    assert json.loads(answer.message.tool_calls[0].function.arguments)["city"] in {"Tokyo", "Osaka"}


@on_model
def test_a_required_call_is_streamed(openai_client: openai.OpenAI, served: Served):
    """A call that the model was made to make adds up in the client's accumulator."""
    with openai_client.chat.completions.stream(
        model=served.model,
        messages=QUESTION,
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
    ) as stream:
        (choice,) = stream.get_final_completion().choices

    (call,) = choice.message.tool_calls
    assert json.loads(call.function.arguments)["city"] in {"Tokyo", "Osaka"}


@on_model
def test_the_model_answers_in_the_form_of_a_class(openai_client: openai.OpenAI, served: Served):
    """A small model that never heard of the schema follows it to the letter."""
    done = openai_client.chat.completions.parse(
        model=served.model, messages=QUESTION, response_format=Star, temperature=0, max_tokens=100
    )

    assert isinstance(done.choices[0].message.parsed, Star)


@on_model
@pytest.mark.parametrize(
    ("form", "allowed"),
    [
        ({"guided_choice": ["sunny", "rainy"]}, {"sunny", "rainy"}),
        ({"guided_regex": "(sun|rain)ny!"}, {"sunny!", "rainny!"}),
        ({"guided_grammar": 'start: "sun" | "rain"'}, {"sun", "rain"}),
        ({"grammar": 'root ::= "sun" | "rain"'}, {"sun", "rain"}),
        ({"structured_outputs": {"choice": ["sunny", "rainy"]}}, {"sunny", "rainy"}),
    ],
)
def test_every_kind_of_form_is_kept_to(openai_client: openai.OpenAI, served: Served, form: dict, allowed: set[str]):
    """Choices, expressions and grammars hold, under whatever name they come."""
    done = openai_client.chat.completions.create(
        model=served.model, messages=QUESTION, max_tokens=20, temperature=0, extra_body=form
    )

    assert done.choices[0].message.content in allowed


@on_model
@pytest.mark.parametrize(
    ("form", "field"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "thing"}}}},
            "schema",
        ),
        ({"guided_regex": "(("}, "guided_regex"),
        ({"guided_grammar": "start: nowhere"}, "guided_grammar"),
        ({"grammar": "root ::= nowhere"}, "grammar"),
    ],
)
def test_a_broken_form_is_refused_by_its_name(openai_client: openai.OpenAI, served: Served, form: dict, field: str):
    """A schema, an expression or a grammar that means nothing is a 400 that names the field it came in."""
    import openai

    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(model=served.model, messages=QUESTION, extra_body=form)

    assert field in caught.value.param
