from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.plugins.engine_llamacpp.tiny import CHATML, write_bert, write_llama
from tests.plugins.routes_ollama.made import HELLO, WEATHER, lines
from tests.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"  # no word of thinking or of tools


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose model has a template with nothing but text."""
    server = ServerProcess(tmp_path_factory.mktemp("plain"), {"HOSHIKAGE_ECHO__CHAT_TEMPLATE": PLAIN})
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with two tiny models: one that was trained to fill gaps, and one that only makes vectors."""
    folder = tmp_path_factory.mktemp("tiny")
    files = {
        "filler": write_llama(folder / "filler.gguf", fim=True, chat_template=CHATML),
        "bert": write_bert(folder / "bert.gguf"),
    }
    models = {name: {"path": str(folder), "model": file.name, "stop": []} for name, file in files.items()}
    (folder / "model_map.json").write_text(json.dumps(models))
    server = ServerProcess(folder)
    yield server
    server.stop()


def post(server: ServerProcess, path: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/api/{path}", json={"model": "echo", **fields})


def chat(server: ServerProcess, text: str, **fields: Any) -> httpx.Response:
    return post(server, "chat", messages=[{"role": "user", "content": text}], **fields)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert ["error"] == list(answer.json())
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("chat", {"messages": [HELLO], "stream": False}),
        ("chat", {"messages": []}),
        ("generate", {"prompt": "hi", "stream": False}),
        ("generate", {}),
        ("embed", {"input": "hi"}),
        ("embed", {}),
        ("embeddings", {"prompt": "hi"}),
        ("show", {"stream": False}),
    ],
)
def test_answers_in_one_piece_are_json(echo_server: ServerProcess, path: str, fields: dict):
    """Each says so in its header, which some clients look at."""
    answer = post(echo_server, path, **fields)

    assert 200 == answer.status_code
    assert answer.headers["content-type"].startswith("application/json")


def test_japanese_is_as_it_is(echo_server: ServerProcess):
    """Answers are UTF-8 without escapes."""
    assert '"content":"星影"' in chat(echo_server, "星影", stream=False).text
    assert '"content":"星"' in chat(echo_server, "星影").text


def test_a_stream_has_no_line_that_clients_trip_over(echo_server: ServerProcess):
    """Lines of JSON, all ended, none empty, the last one done and none after it."""
    answer = chat(echo_server, "one two three")
    rows = lines(answer.content)

    assert "application/x-ndjson" == answer.headers["content-type"]
    assert [False, False, False, True] == [row["done"] for row in rows]
    assert "one two three" == "".join(row["message"]["content"] for row in rows)


def test_capabilities_are_those_of_the_template(echo_server: ServerProcess, plain_server: ServerProcess):
    """The list and the page of a model agree; a template without thinking has none."""
    for server in (echo_server, plain_server):
        (row,) = httpx.get(f"{server.url}/api/tags").json()["models"]
        assert row["capabilities"] == post(server, "show").json()["capabilities"]

    assert ["completion", "tools", "embedding", "thinking"] == post(echo_server, "show").json()["capabilities"]
    assert "thinking" not in post(plain_server, "show").json()["capabilities"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_gap_is_filled(tiny_server: ServerProcess, stream: bool):
    """A model that was trained for it takes a suffix; it says so in its capabilities and in its template."""
    shown = post(tiny_server, "show", model="filler").json()
    options = {"num_predict": 5, "temperature": 0}
    answer = post(tiny_server, "generate", model="filler", prompt="a = ", suffix="b", options=options, stream=stream)
    *_, last = lines(answer.content + (b"" if stream else b"\n"))

    assert "insert" in shown["capabilities"]
    assert ".Suffix" in shown["template"]
    assert (200, 5, "length") == (answer.status_code, last["eval_count"], last["done_reason"])
    assert "context" not in last


@pytest.mark.parametrize("stream", [True, False])
def test_a_model_for_vectors_writes_nothing(tiny_server: ServerProcess, stream: bool):
    """It makes vectors, and says that it does neither of the other two."""
    generated = post(tiny_server, "generate", model="bert", prompt="hi", stream=stream)
    chatted = post(tiny_server, "chat", model="bert", messages=[HELLO], stream=stream)
    found = post(tiny_server, "embed", model="bert", input=["hi", ""]).json()

    assert (400, '"bert" does not support generate') == error_of(generated)
    assert error_of(chatted)[1].startswith('"bert" does not support chat')
    assert 2 == len(found["embeddings"])
    assert ["embedding"] == post(tiny_server, "show", model="bert").json()["capabilities"]


@pytest.mark.parametrize("value", [True, "high"])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("chat", {"messages": [HELLO]}),
        ("generate", {"prompt": "hi"}),
        ("generate", {"prompt": "hi", "raw": True}),
        ("generate", {"prompt": "hi", "suffix": "ho"}),
    ],
)
def test_a_model_that_cannot_think_says_so(plain_server: ServerProcess, path: str, fields: dict, value: bool | str):
    """Word by word, streamed or not: clients fall back to a request without thinking."""
    for stream in (True, False):
        answer = post(plain_server, path, **fields, think=value, stream=stream)
        assert (400, '"echo" does not support thinking') == error_of(answer)


@pytest.mark.parametrize("value", [False, None])
def test_not_to_think_is_always_possible(plain_server: ServerProcess, value: bool | None):
    """A model that cannot think obeys this."""
    assert 200 == chat(plain_server, "hi", think=value).status_code


def test_an_unknown_model_comes_before_anything_else(echo_server: ServerProcess):
    """Each route says it in the words that its clients know."""
    for path, fields in [
        ("chat", {"messages": [HELLO]}),
        ("generate", {"prompt": "hi"}),
        ("generate", {}),
        ("show", {}),
    ]:
        assert (404, "model 'x' not found") == error_of(post(echo_server, path, **fields, model="x"))
    for path, fields in [("embed", {"input": "hi"}), ("embed", {}), ("embeddings", {"prompt": "hi"})]:
        assert (404, 'model "x" not found, try pulling it first') == error_of(
            post(echo_server, path, **fields, model="x")
        )


def test_a_failure_within_a_stream_is_its_last_line(start_server: Callable[..., ServerProcess]):
    """What came before it has been read; then the stream is over."""
    server = start_server(HOSHIKAGE_ECHO__FAIL_AFTER="2")
    *rows, last = lines(chat(server, "one two three").content)

    assert "one two" == "".join(row["message"]["content"] for row in rows)
    assert ["error"] == list(last)


def test_a_call_cut_off_by_the_limit_is_text(echo_server: ServerProcess):
    """Half a call is no object: its text is shown, and the reason of the end says why."""
    text = '<tool_call>\n{"name": "weather", "arguments": {"city": "Tokyo and Osaka and Kyoto"}}\n</tool_call>'
    body = chat(echo_server, text, tools=[WEATHER], options={"num_predict": 6}, stream=False).json()

    assert "length" == body["done_reason"]
    assert "tool_calls" not in body["message"]
    assert "Tokyo" in body["message"]["content"]


@pytest.mark.parametrize(("path", "key"), [("embed", "embeddings"), ("embeddings", "embedding")])
def test_no_input_only_loads_or_unloads(start_server: Callable[..., ServerProcess], path: str, key: str):
    """The model is there afterwards, and with a `keep_alive` of 0 it is gone."""
    server = start_server()
    loaded = post(server, path, keep_alive="10m").json()
    there = httpx.get(f"{server.url}/api/ps").json()["models"]
    unloaded = post(server, path, keep_alive=0).json()

    assert [] == loaded[key] == unloaded[key]
    assert ["echo:latest"] == [row["name"] for row in there]
    assert [] == httpx.get(f"{server.url}/api/ps").json()["models"]


def test_keep_alive_for_ever_is_shown(start_server: Callable[..., ServerProcess]):
    """A number too large for a calendar pins the model and does not break the list."""
    server = start_server()
    post(server, "generate", keep_alive="9999999h")
    (row,) = httpx.get(f"{server.url}/api/ps").json()["models"]

    assert row["expires_at"].startswith("9999")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/chat", 405), ("POST", "/api/nothing", 404)])
def test_wrong_paths_have_the_protocols_shape(echo_server: ServerProcess, method: str, path: str, status: int):
    """An error is a text here too."""
    answer = httpx.request(method, f"{echo_server.url}{path}")

    assert status == answer.status_code
    assert isinstance(answer.json()["error"], str)
