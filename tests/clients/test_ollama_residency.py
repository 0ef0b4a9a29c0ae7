"""How long models stay, as the official Ollama client asks for it and sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import ollama
import pytest

from tests.clients.conftest import CLIENT_LIMIT_S
from tests.server import ServerProcess
from tests.staged import put_models
from tests.wire import until

if TYPE_CHECKING:
    from pathlib import Path

# Copies on a RAM disk are for other tests; this machine's is left alone.
WITHOUT_RAM_DISK = {"HOSHIKAGE_PLUGINS__DISABLED": '["ramdisk"]'}
HELLO = [{"role": "user", "content": "one two three"}]
MEMORY_BYTES = 5 << 20
CONTEXT = 1024
SLACK_S = 2.0  # between the server's answer and our look at the clock, on a busy machine
SHORT_S = 0.4
FAR = timedelta(days=365 * 50)
# What clients send, and the seconds that it means.
DURATIONS = [(90, 90), (0.5 * 3600, 1800), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("600", 600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the models `one` and `two`, whose settings say ten minutes."""
    folder = tmp_path_factory.mktemp("residency") / "data"
    put_models(folder, one={"memory_bytes": MEMORY_BYTES, "context_length": CONTEXT}, two={"memory_bytes": 1})
    server = ServerProcess(folder, {"HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S": "600", **WITHOUT_RAM_DISK})
    yield server
    server.stop()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[ollama.Client]:
    """The official client; what a test has loaded is let go."""
    client = ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)
    yield client
    for name in ("one", "two"):
        client.generate(name, "", keep_alive=0)
    until(lambda: names(client) == [])


def names(client: ollama.Client) -> list[str]:
    return [m.model for m in client.ps().models]


def left(client: ollama.Client, name: str = "one:latest") -> timedelta:
    """How long a loaded model has yet to stay."""
    (row,) = [m for m in client.ps().models if m.model == name]
    return row.expires_at - datetime.now(row.expires_at.tzinfo)


# --- ps ---


def test_ps_of_nothing(client: ollama.Client):
    """Before the first request nothing is loaded."""
    assert [] == client.ps().models


def test_ps_has_the_fields_of_the_client(client: ollama.Client):
    """Name, sizes, context, details and the end, all of them typed as the client has them."""
    client.chat("one", HELLO)
    (row,) = client.ps().models

    assert ("one:latest", "one:latest", MEMORY_BYTES, 0, CONTEXT) == (
        row.name,
        row.model,
        row.size,
        row.size_vram,
        row.context_length,
    )
    assert ("gguf", "echo") == (row.details.format, row.details.family)
    assert row.expires_at.tzinfo is not None
    assert row.digest == next(m.digest for m in client.list().models if m.model == "one:latest")


def test_ps_shows_the_longest_stay_first(client: ollama.Client):
    """Models come in the order in which they will be there, the last to go at the top."""
    client.chat("one", HELLO, keep_alive="5m")
    client.chat("two", HELLO, keep_alive="10m")
    before = names(client)
    client.chat("one", HELLO, keep_alive=-1)

    assert (["two:latest", "one:latest"], ["one:latest", "two:latest"]) == (before, names(client))


# --- keep_alive ---


def test_without_keep_alive_the_settings_say(client: ollama.Client):
    """The idle timeout counts from the answer."""
    client.chat("one", HELLO)

    assert timedelta(seconds=600 - SLACK_S) < left(client) <= timedelta(seconds=600)


@pytest.mark.parametrize(("keep_alive", "seconds"), DURATIONS)
def test_keep_alive_in_every_form(client: ollama.Client, keep_alive: float | str, seconds: float):
    """Numbers are seconds, texts are durations."""
    client.chat("one", HELLO, keep_alive=keep_alive)

    assert timedelta(seconds=seconds - SLACK_S) < left(client) <= timedelta(seconds=seconds)


@pytest.mark.parametrize("keep_alive", [-1, "-1", "-1m", "-5h", 1e12])
def test_negative_is_for_ever(client: ollama.Client, keep_alive: float | str):
    """The end lies in the far future, as a date that the client can read."""
    client.chat("one", HELLO, keep_alive=keep_alive)

    assert left(client) > FAR


@pytest.mark.parametrize("keep_alive", [0, "0", "0s", 0.0])
@pytest.mark.parametrize("stream", [False, True])
def test_zero_unloads_after_the_answer(client: ollama.Client, keep_alive: float | str, stream: bool):
    """The answer is whole, and then the model is gone."""
    answer = client.chat("one", HELLO, keep_alive=keep_alive, stream=stream)
    text = "".join(part.message.content for part in answer) if stream else answer.message.content

    assert "one two three" == text
    until(lambda: names(client) == [])


@pytest.mark.parametrize("how", ["chat", "generate", "embed", "embeddings"])
def test_every_way_to_ask_takes_keep_alive(client: ollama.Client, how: str):
    """Vectors keep a model as answers do."""
    arguments = {"chat": HELLO, "generate": "hi", "embed": "hi", "embeddings": "hi"}[how]
    getattr(client, how)("one", arguments, keep_alive="2h")

    assert timedelta(seconds=7200 - SLACK_S) < left(client) <= timedelta(seconds=7200)


def test_the_last_answer_decides(client: ollama.Client):
    """A later request without `keep_alive` brings the settings back."""
    client.chat("one", HELLO, keep_alive=-1)
    client.chat("one", HELLO)

    assert left(client) <= timedelta(seconds=600)


def test_a_bad_keep_alive_is_400(client: ollama.Client):
    """The field is named, and nothing is loaded."""
    with pytest.raises(ollama.ResponseError, match="keep_alive") as caught:
        client.chat("one", HELLO, keep_alive="soon")

    assert (400, []) == (caught.value.status_code, names(client))


# --- loading and unloading ---


@pytest.mark.parametrize("how", ["generate", "chat"])
def test_an_empty_prompt_loads(client: ollama.Client, how: str):
    """Nothing is answered, and the model is there for as long as is said."""
    done = getattr(client, how)("one", "" if how == "generate" else [], keep_alive="1h")
    text = done.response if how == "generate" else done.message.content

    assert ("load", True, "") == (done.done_reason, done.done, text)
    assert timedelta(seconds=3600 - SLACK_S) < left(client) <= timedelta(seconds=3600)


@pytest.mark.parametrize("how", ["generate", "chat"])
def test_an_empty_prompt_with_keep_alive_0_unloads(client: ollama.Client, how: str):
    """The model goes though it was to stay for ever; nothing is loaded for it."""
    client.chat("one", HELLO, keep_alive=-1)
    done = getattr(client, how)("one", "" if how == "generate" else [], keep_alive=0)

    assert ("unload", True) == (done.done_reason, done.done)
    until(lambda: names(client) == [])


def test_unloading_what_is_not_loaded(client: ollama.Client):
    """It is no error, and does not load it."""
    assert ("unload", []) == (client.generate("two", "", keep_alive=0).done_reason, names(client))


def test_an_unload_waits_for_the_answer(start_server: Callable[..., ServerProcess]):
    """A stream that runs goes on to its end; then the model goes."""
    slow = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="10", **WITHOUT_RAM_DISK)
    client = ollama.Client(host=slow.url, timeout=CLIENT_LIMIT_S)
    answer = client.chat("echo", HELLO, stream=True, keep_alive=-1)
    text = next(answer).message.content
    reason = client.generate("echo", "", keep_alive=0).done_reason
    text += "".join(part.message.content for part in answer)
    until(lambda: names(client) == [])

    assert ("unload", "one two three") == (reason, text)


def test_the_next_model_loads_while_another_answers(start_server: Callable[..., ServerProcess], tmp_path: Path):
    """With one place, `ps` shows a waiting request's model beside the one that answers; both answers come whole."""
    put_models(tmp_path / "data", one={"tokens_per_second": 10}, two={})
    server = start_server(tmp_path / "data", HOSHIKAGE_RESIDENCY__MAX_LOADED="1", **WITHOUT_RAM_DISK)
    client = ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)
    answer = client.chat("one", [{"role": "user", "content": " ".join(["word"] * 20)}], stream=True)
    next(answer)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.chat, "two", HELLO)
        until(lambda: names(client) == ["one:latest", "two:latest"])
        loaded_beside = not waiting.done()
        words = 1 + sum(1 for part in answer if part.message.content)
        text = waiting.result(CLIENT_LIMIT_S).message.content
    until(lambda: names(client) == ["two:latest"])

    assert (True, 20, "one two three") == (loaded_beside, words, text)


# --- being idle ---


def test_an_idle_model_goes_and_comes_back(start_server: Callable[..., ServerProcess]):
    """After the idle timeout it is gone from `ps`, and the next request has it again."""
    server = start_server(HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S=str(SHORT_S), **WITHOUT_RAM_DISK)
    client = ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)
    client.chat("echo", HELLO)
    until(lambda: names(client) == [])

    assert "one two three" == client.chat("echo", HELLO, keep_alive="1h").message.content
    assert ["echo:latest"] == names(client)


def test_the_time_counts_from_the_end_of_the_answer(start_server: Callable[..., ServerProcess]):
    """An answer that takes longer than the timeout does not lose its model, which then stays for the whole of it."""
    server = start_server(
        HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S=str(SHORT_S),
        HOSHIKAGE_ECHO__TOKENS_PER_SECOND=str(3 / (3 * SHORT_S)),
        **WITHOUT_RAM_DISK,
    )
    client = ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)
    began = time.monotonic()
    parts = client.chat("echo", HELLO, stream=True)
    during = [names(client) for _ in parts]
    took = time.monotonic() - began
    server.wait_for("model_unloaded")
    stayed = time.monotonic() - began - took

    assert took > SHORT_S * 2
    assert all(row == ["echo:latest"] for row in during[:-1])
    assert 1 == len([line for line in server.lines if line.get("event") == "model_loaded"])
    assert stayed > SHORT_S * 0.5


def test_other_models_do_not_keep_one_awake(start_server: Callable[..., ServerProcess], tmp_path: Path):
    """Each model has its own time: one goes though another one is asked all the while."""
    put_models(tmp_path / "data", one={}, two={})
    server = start_server(tmp_path / "data", HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S=str(SHORT_S), **WITHOUT_RAM_DISK)
    client = ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)
    client.chat("one", HELLO)

    def only_two_is_left() -> bool:
        client.chat("two", HELLO)
        return names(client) == ["two:latest"]

    until(only_two_is_left)


def test_a_timeout_of_zero_is_never(start_server: Callable[..., ServerProcess]):
    """Where the settings say 0, the end lies in the far future."""
    server = start_server(HOSHIKAGE_RESIDENCY__IDLE_TIMEOUT_S="0", **WITHOUT_RAM_DISK)
    client = ollama.Client(host=server.url, timeout=CLIENT_LIMIT_S)
    client.chat("echo", HELLO)

    assert left(client, "echo:latest") > FAR
