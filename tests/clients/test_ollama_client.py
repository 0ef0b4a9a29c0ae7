from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import httpx
import ollama
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Served

on_model = pytest.mark.parametrize("served", [pytest.param("smollm2", marks=pytest.mark.model)], indirect=True)

HELLO = [{"role": "user", "content": "Say hello to the stars, please."}]


def test_models_are_listed_with_equal_name_and_model(ollama_client: ollama.Client, served: Served):
    """Each row has one name under both keys, with a tag, and a digest of 64 hex digits."""
    rows = {m.model: m for m in ollama_client.list().models}
    raw = httpx.get(f"{served.url}/api/tags").json()["models"]

    assert f"{served.model}:latest" in rows
    assert all(row["name"] == row["model"] for row in raw)
    assert all(re.fullmatch("[0-9a-f]{64}", row["digest"]) for row in raw)


def test_show_has_what_clients_read(ollama_client: ollama.Client, served: Served):
    """Details, model info, capabilities and parameters are there."""
    shown = ollama_client.show(served.model)

    architecture = shown.modelinfo["general.architecture"]
    assert architecture == shown.details.family
    assert shown.modelinfo[f"{architecture}.context_length"] > 0
    assert "completion" in shown.capabilities
    assert {"completion", "tools", "insert", "embedding", "thinking"}.issuperset(shown.capabilities)


def test_show_takes_the_old_name_field(served: Served):
    """Older clients send `name` where newer ones send `model`."""
    shown = httpx.post(f"{served.url}/api/show", json={"name": served.model})

    assert shown.status_code == 200


def test_chat_answers_in_one_piece(ollama_client: ollama.Client, served: Served):
    """A chat gives text, counts and durations in nanoseconds."""
    done = ollama_client.chat(served.model, HELLO, options={"num_predict": 6, "temperature": 0})

    assert done.message.role == "assistant"
    assert done.message.content
    assert done.done is True
    assert done.done_reason in {"stop", "length"}
    assert 0 < done.eval_count <= 6
    assert done.prompt_eval_count > 0
    assert done.total_duration >= done.prompt_eval_duration + done.eval_duration > 0


def test_stream_adds_up_to_the_whole_answer(ollama_client: ollama.Client, served: Served):
    """Streamed pieces, put together, are the answer that comes without streaming."""
    options = {"num_predict": 10, "temperature": 0}
    whole = ollama_client.chat(served.model, HELLO, options=options).message.content

    parts = list(ollama_client.chat(served.model, HELLO, options=options, stream=True))

    assert whole == "".join(p.message.content for p in parts)
    assert [False] * (len(parts) - 1) + [True] == [p.done for p in parts]


def test_generate_streams_by_default(served: Served):
    """Without `stream` the answer is a stream of lines, each ended by a line feed, none of them empty."""
    body = {"model": served.model, "prompt": "hello there", "options": {"num_predict": 3}}
    answer = httpx.post(f"{served.url}/api/generate", json=body, timeout=60)

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text.endswith("}\n")
    assert "\n\n" not in answer.text


def test_generate_carries_the_conversation_in_context(ollama_client: ollama.Client, served: Served):
    """The `context` of one answer, given to the next, makes its prompt longer by the first exchange."""
    options = {"num_predict": 4, "temperature": 0}
    first = ollama_client.generate(served.model, "My name is Hoshi.", options=options)
    alone = ollama_client.generate(served.model, "What is my name?", options=options)

    second = ollama_client.generate(served.model, "What is my name?", options=options, context=first.context)

    assert second.prompt_eval_count > alone.prompt_eval_count


def test_generate_honours_system_and_raw(ollama_client: ollama.Client, served: Served):
    """A raw prompt goes to the model without a template: it has fewer tokens, and no context comes back."""
    options = {"num_predict": 2}
    templated = ollama_client.generate(served.model, "hello", system="Be kind and brief.", options=options)
    raw = ollama_client.generate(served.model, "hello", raw=True, options=options)

    assert raw.prompt_eval_count < templated.prompt_eval_count
    assert raw.context is None


def test_stop_strings_end_the_answer(ollama_client: ollama.Client, served: Served):
    """Nothing from the stop string on is in the answer."""
    options = {"temperature": 0, "num_predict": 40}
    whole = ollama_client.generate(served.model, "one two three four", raw=True, options=options).response
    stop = whole.split()[1]

    cut = ollama_client.generate(served.model, "one two three four", raw=True, options={**options, "stop": [stop]})

    assert whole.split(stop)[0] == cut.response
    assert cut.done_reason == "stop"


def test_ps_shows_what_is_loaded(ollama_client: ollama.Client, served: Served):
    """A model that just answered is loaded, with a time of expiry that lies ahead."""
    ollama_client.chat(served.model, HELLO, options={"num_predict": 1}, keep_alive="10m")

    (loaded,) = [m for m in ollama_client.ps().models if m.model == f"{served.model}:latest"]
    assert loaded.expires_at > datetime.now(loaded.expires_at.tzinfo)
    assert loaded.context_length > 0


def test_empty_prompt_loads_and_keep_alive_0_unloads(ollama_client: ollama.Client, served: Served):
    """An empty prompt only loads; with `keep_alive` 0 it lets the model go."""
    loaded = ollama_client.generate(served.model, "")
    unloaded = ollama_client.generate(served.model, "", keep_alive=0)

    assert loaded.done_reason == "load"
    assert unloaded.done_reason == "unload"


def test_empty_messages_load_too(ollama_client: ollama.Client, served: Served):
    """A chat without messages only loads."""
    assert ollama_client.chat(served.model, []).done_reason == "load"


@pytest.mark.parametrize("call", ["chat", "generate", "show"])
def test_unknown_model_is_404_in_ollamas_words(ollama_client: ollama.Client, call: str):
    """Clients match the text of this error word by word."""
    arguments = {"chat": ("nobody", HELLO), "generate": ("nobody", "hi"), "show": ("nobody",)}[call]

    with pytest.raises(ollama.ResponseError) as caught:
        getattr(ollama_client, call)(*arguments)

    assert caught.value.status_code == 404
    assert caught.value.error == "model 'nobody' not found"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"num_predict": "many"}}, "options.num_predict"),
        ({"options": {"stop": 5}}, "options.stop"),
        ({"options": {"top_k": 2**31}}, "options.top_k"),
        ({"options": {"seed": 2**63}}, "options.seed"),
        ({"options": {"num_predict": 2**40}}, "options.num_predict"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "king"),
        ({"messages": [{"content": "hi"}]}, "role"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"options": {"mirostat": 1}}, "options.mirostat"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "browser"}]}, "tools[0].type"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}, "argu"),
        ({"think": "hard"}, "think"),
        ({"format": "yaml"}, "format"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"model": None}, "model is required"),
        ({"messages": [{"role": "user", "content": "hi", "images": ["aGk="]}]}, "does not support images"),
    ],
)
def test_bad_fields_are_named(served: Served, change: dict, words: str):
    """A wrong type and a request beyond the model are 400, a text that says which field."""
    answer = httpx.post(f"{served.url}/api/chat", json={"model": served.model, "messages": HELLO, **change})

    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_nulls_and_unknown_options_are_passed_over(ollama_client: ollama.Client, served: Served):
    """`null` options are unset, unknown ones do no harm, and no tools are none."""
    options = {"mirostat": None, "temperature": None, "tfs_z": None, "num_ctx": 2048, "num_predict": 1}
    done = ollama_client.chat(served.model, HELLO, options=options, tools=[])

    assert done.done_reason == "length"


@pytest.mark.parametrize("top", [None, 3])
def test_logprobs_come_with_each_token(ollama_client: ollama.Client, served: Served, top: int | None):
    """There is a row for each token, streamed or not, with as many alternatives as were asked for, at most."""
    wanted = {"logprobs": True, "top_logprobs": top, "options": {"num_predict": 4, "temperature": 0}}
    chatted = ollama_client.chat(served.model, HELLO, **wanted)
    parts = list(ollama_client.chat(served.model, HELLO, **wanted, stream=True))
    generated = ollama_client.generate(served.model, "Say hello to the stars", raw=True, **wanted)

    streamed = [row.token for part in parts for row in part.logprobs or ()]
    assert [row.token for row in chatted.logprobs] == streamed
    assert chatted.eval_count == len(streamed)
    for row in (*chatted.logprobs, *generated.logprobs):
        assert row.logprob <= 0
        assert len(row.top_logprobs or ()) <= (top or 0)
        assert bool(row.top_logprobs) is bool(top)


def test_no_logprobs_unless_asked_for(ollama_client: ollama.Client, served: Served):
    """They cost time and width."""
    assert ollama_client.chat(served.model, HELLO, options={"num_predict": 1}).logprobs is None


@on_model
def test_a_model_without_infill_says_so(ollama_client: ollama.Client, served: Served):
    """A suffix needs a model that was trained to fill gaps; there is no answer in its place."""
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as caught:
            list(ollama_client.generate(served.model, "def add(", suffix="return c", stream=stream))

        assert caught.value.status_code == 400
        assert '"smollm2" does not support insert' in caught.value.error


def test_too_long_a_prompt_names_both_numbers(ollama_client: ollama.Client, served: Served):
    """A prompt over the context is 400 with its own length and the context's."""
    with pytest.raises(ollama.ResponseError) as caught:
        ollama_client.generate(served.model, "star " * 20_000)

    limit = httpx.get(f"{served.url}/v1/status").json()["loaded"][0]["context_length"]
    assert caught.value.status_code == 400
    assert str(limit) in caught.value.error


def test_banner_and_version_are_what_clients_probe(served: Served):
    """GET and HEAD on the root and the version answer; the version is three numbers."""
    banner = httpx.get(served.url)
    heads = [httpx.head(f"{served.url}{path}").status_code for path in ("/", "/api/version", "/api/tags")]
    version = httpx.get(f"{served.url}/api/version").json()["version"]

    assert banner.text == "Ollama is running"
    assert heads == [200, 200, 200]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_a_form_content_type_does_no_harm(served: Served):
    """`curl -d` claims to send a form; the body is read as JSON all the same."""
    answer = httpx.post(
        f"{served.url}/api/show",
        content=f'{{"model": "{served.model}"}}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 200


def test_a_body_that_is_no_json_is_400(served: Served):
    """Broken JSON and an empty body are refused in the protocol's shape."""
    broken = httpx.post(f"{served.url}/api/chat", content=b'{"model": ')
    empty = httpx.post(f"{served.url}/api/chat", content=b"")

    assert broken.status_code == 400
    assert "JSON" in broken.json()["error"]
    assert empty.json() == {"error": "missing request body"}
