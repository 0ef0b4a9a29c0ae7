from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import httpx
import ollama
import pytest
from pydantic import BaseModel

if TYPE_CHECKING:
    from tests.clients.conftest import Served

on_echo = pytest.mark.parametrize("served", ["echo"], indirect=True)
on_model = pytest.mark.parametrize("served", [pytest.param("smollm2", marks=pytest.mark.model)], indirect=True)

HELLO = [{"role": "user", "content": "Say hello to the stars, please."}]
WEATHER = {"type": "function", "function": {"name": "weather"}}


class Star(BaseModel):
    name: Literal["Sirius", "Vega"]
    bright: bool


def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: the name of the city
    """
    return f"sunny in {city}"


def calling(*cities: str) -> list[dict[str, str]]:
    """What makes echo call the weather of these cities: it answers with the last message."""
    calls = [f'<tool_call>\n{{"name": "weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>' for city in cities]
    return [{"role": "user", "content": "\n".join(calls)}]


def names_and_arguments(message: ollama.Message) -> list[tuple[str, dict]]:
    return [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or ()]


@on_model
def test_the_small_model_does_not_think(ollama_client: ollama.Client, served: Served):
    """A model without thinking says so word by word, and obeys who wants none."""
    with pytest.raises(ollama.ResponseError) as caught:
        ollama_client.chat(served.model, HELLO, think=True)

    assert (400, '"smollm2" does not support thinking') == (caught.value.status_code, caught.value.error)
    assert ollama_client.chat(served.model, HELLO, think=False, options={"num_predict": 1}).done


@on_echo
@pytest.mark.parametrize("think", [None, True, "high", False])
def test_thinking_stands_apart(ollama_client: ollama.Client, served: Served, think: bool | str | None):
    """What the model thinks comes beside what it says, streamed or not, in chat and in generate."""
    said = "<think>a star</think>b"
    whole = ollama_client.chat(served.model, [{"role": "user", "content": said}], think=think)
    parts = list(ollama_client.chat(served.model, [{"role": "user", "content": said}], think=think, stream=True))
    generated = ollama_client.generate(served.model, said, think=think)

    assert ("a star", "b") == (whole.message.thinking, whole.message.content)
    assert "a star" == "".join(p.message.thinking or "" for p in parts)
    assert "b" == "".join(p.message.content for p in parts)
    assert ("a star", "b") == (generated.thinking, generated.response)


@on_echo
def test_calls_have_objects_of_arguments(ollama_client: ollama.Client, served: Served):
    """A function is offered as it is, and called with arguments that it takes; the answer ends by itself."""
    done = ollama_client.chat(served.model, calling("Tokyo", "Osaka"), tools=[weather])

    assert [("weather", {"city": "Tokyo"}), ("weather", {"city": "Osaka"})] == names_and_arguments(done.message)
    assert "sunny in Tokyo" == weather(**done.message.tool_calls[0].function.arguments)
    assert ("", "stop") == (done.message.content, done.done_reason)


@on_echo
def test_streamed_calls_are_whole(ollama_client: ollama.Client, served: Served):
    """Each call comes in one piece, in its order, before the end."""
    *parts, last = ollama_client.chat(served.model, calling("Tokyo", "Osaka"), tools=[weather], stream=True)

    calls = [call for part in parts for call in names_and_arguments(part.message)]
    assert [("weather", {"city": "Tokyo"}), ("weather", {"city": "Osaka"})] == calls
    assert (True, "stop", None) == (last.done, last.done_reason, last.message.tool_calls)


@on_echo
def test_calls_have_ids_and_numbers(served: Served):
    """Clients that look for them find them."""
    body = {"model": served.model, "messages": calling("Tokyo", "Osaka"), "tools": [WEATHER], "stream": False}
    calls = httpx.post(f"{served.url}/api/chat", json=body).json()["message"]["tool_calls"]

    assert [0, 1] == [call["function"]["index"] for call in calls]
    assert 2 == len({call["id"] for call in calls if call["id"].startswith("call_")})


@on_echo
def test_a_conversation_with_calls_goes_on(ollama_client: ollama.Client, served: Served):
    """The message with the call and its result go back as the client holds them."""
    first = ollama_client.chat(served.model, calling("Tokyo"), tools=[weather])
    result = {"role": "tool", "content": "sunny today", "tool_name": "weather"}
    second = ollama_client.chat(served.model, [*HELLO, first.message, result], tools=[weather])

    assert "sunny today" == second.message.content


@on_model
def test_the_model_is_told_of_tools_and_results(ollama_client: ollama.Client, served: Served):
    """Tools and calls take their place in the prompt, and the answer has its shape whatever the model makes of it."""
    options = {"num_predict": 20, "temperature": 0}
    plain = ollama_client.chat(served.model, HELLO, options=options)
    offered = ollama_client.chat(served.model, HELLO, tools=[weather], options=options)
    call = {"function": {"name": "weather", "arguments": {"city": "Tokyo"}}}
    turns = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sunny", "tool_name": "weather"},
    ]
    told = ollama_client.chat(served.model, turns, tools=[weather], options=options)

    assert plain.prompt_eval_count < offered.prompt_eval_count < told.prompt_eval_count
    assert told.message.content or told.message.tool_calls


@on_model
@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_is_kept_to(ollama_client: ollama.Client, served: Served, stream: bool):
    """A small model that never heard of the schema follows it to the letter, in chat and in generate."""
    wanted = {"format": Star.model_json_schema(), "options": {"num_predict": 100, "temperature": 0}, "stream": stream}
    chatted = ollama_client.chat(served.model, HELLO, **wanted)
    generated = ollama_client.generate(served.model, "Name a star.", **wanted)

    assert Star.model_validate_json("".join(p.message.content for p in chatted) if stream else chatted.message.content)
    assert Star.model_validate_json("".join(p.response for p in generated) if stream else generated.response)


@on_model
def test_json_is_an_object(ollama_client: ollama.Client, served: Served):
    """The word alone asks for any object, raw prompts included."""
    options = {"num_predict": 300, "temperature": 0, "stop": ["\n\n\n"]}
    done = ollama_client.generate(served.model, '{"star": ', raw=True, format="json", options=options)

    assert done.response.lstrip().startswith("{")
    assert done.done_reason == "length" or isinstance(json.loads(done.response), dict)


@on_model
def test_a_broken_schema_is_refused(ollama_client: ollama.Client, served: Served):
    """A schema that means nothing is a 400 that names the field."""
    with pytest.raises(ollama.ResponseError) as caught:
        ollama_client.chat(served.model, HELLO, format={"type": "thing"})

    assert caught.value.status_code == 400
    assert "format" in caught.value.error
