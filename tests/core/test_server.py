from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.server import environment
from tests.wire import chat, raw_request, sse_events, text_of, until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.server import ServerProcess

LIMIT_S = 20
LONG = " ".join(str(n) for n in range(500))


def running(server: ServerProcess) -> int:
    return httpx.get(f"{server.url}/v1/status").json()["requests"]["running"]


def waiting(server: ServerProcess) -> int:
    return httpx.get(f"{server.url}/v1/status").json()["requests"]["waiting"]


def read_to_the_end(connection: socket.socket) -> bytes:
    """All that the server sent before it closed or reset the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 20):
            received += data
    connection.close()
    return received


def serve_to_the_end(data_dir: Path, port: str) -> subprocess.CompletedProcess[str]:
    """Run a server that cannot start."""
    command = [sys.executable, "-m", "hoshikage", "serve", "--port", port]
    variables = environment(data_dir)
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_port_in_use_is_one_line_and_exit_1(echo_server: ServerProcess, tmp_path: Path):
    """A second server on the same port says so in one line and ends with 1."""
    port = echo_server.url.rpartition(":")[2]

    second = serve_to_the_end(tmp_path, port)

    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"port {port}" in second.stderr


def test_corrupt_model_map_stops_the_start_and_is_left_alone(tmp_path: Path):
    """A server with a corrupt model map does not start, and does not touch the file."""
    (tmp_path / "model_map.json").write_text('{"half": ')

    done = serve_to_the_end(tmp_path, "0")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "model_map.json is corrupt" in done.stderr
    assert (tmp_path / "model_map.json").read_text() == '{"half": '


def test_sigterm_lets_a_running_answer_end(start_server: Callable[..., ServerProcess]):
    """An answer under way at SIGTERM comes whole, new connections are refused, and the exit status is 0."""
    server = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="20")
    body = chat("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=LIMIT_S) as response:
        events = sse_events(response)
        first = [next(events), next(events)]
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("server_draining")
        text = text_of([*first, *events])

    assert text == body["messages"][0]["content"]
    assert server.process.wait(LIMIT_S) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


def test_drain_limit_tells_the_client_and_ends(start_server: Callable[..., ServerProcess]):
    """An answer that outlives the drain ends with an error that the client can read."""
    server = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="20", HOSHIKAGE_SERVER__DRAIN_S="0.5")
    with httpx.stream(
        "POST", f"{server.url}/v1/chat/completions", json=chat(LONG, stream=True), timeout=LIMIT_S
    ) as response:
        lines = response.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        last = [line for line in lines if line][-2:]

    assert json.loads(last[0].removeprefix("data: "))["error"]["code"] == "server_stopping"
    assert last[1] == "data: [DONE]"
    assert server.process.wait(LIMIT_S) == 0


def test_a_client_that_leaves_cancels_its_stream(start_server: Callable[..., ServerProcess]):
    """Closing the connection in mid-stream ends the generation, and the receipt says cancelled."""
    server = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="50")
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=chat(LONG, stream=True)) as response:
        next(response.iter_lines())

    done = server.wait_for("request_done")
    assert done["outcome"] == "cancelled"
    assert done["completion_tokens"] < 100
    assert running(server) == 0


def test_a_client_that_leaves_cancels_an_answer_in_one_piece(start_server: Callable[..., ServerProcess]):
    """The same holds for a client that waits for the whole answer."""
    server = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="5")
    connection = raw_request(server.url, json.dumps(chat(LONG)).encode())
    until(lambda: running(server) == 1)
    connection.close()

    assert server.wait_for("request_done")["outcome"] == "cancelled"


def test_a_client_that_leaves_the_queue_frees_its_place(start_server: Callable[..., ServerProcess]):
    """Closing the connection while waiting takes the request out of the queue."""
    server = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="5", HOSHIKAGE_ADMISSION__MAX_RUNNING="1")
    body = json.dumps(chat(LONG)).encode()
    first = raw_request(server.url, body)
    until(lambda: running(server) == 1)
    second = raw_request(server.url, body)
    until(lambda: waiting(server) == 1)

    second.close()

    until(lambda: waiting(server) == 0)
    assert running(server) == 1
    first.close()


def test_a_client_that_does_not_read_is_cut_off(start_server: Callable[..., ServerProcess]):
    """A client that takes nothing for the stall limit loses its place."""
    server = start_server(HOSHIKAGE_SERVER__STALL_TIMEOUT_S="0.5", HOSHIKAGE_ECHO__CONTEXT_LENGTH="9000000")
    # The kernel's buffers take megabytes before the server notices that nobody reads.
    connection = raw_request(server.url, json.dumps(chat("x " * 60_000, stream=True)).encode())

    server.wait_for("client_stalled", limit_s=60)
    received = read_to_the_end(connection)

    assert received.startswith(b"HTTP/1.1 200")
    assert b"[DONE]" not in received
    assert running(server) == 0


def test_silent_streams_show_signs_of_life(start_server: Callable[..., ServerProcess]):
    """While nothing comes, an SSE stream carries comments and an NDJSON stream empty pieces of text."""
    server = start_server(
        HOSHIKAGE_ECHO__FIRST_TOKEN_DELAY_S="1.5",
        HOSHIKAGE_SERVER__HEARTBEAT_S="0.3",
        HOSHIKAGE_SERVER__HEADER_GRACE_S="0.1",
    )
    sse = httpx.post(f"{server.url}/v1/chat/completions", json=chat("hi", stream=True), timeout=LIMIT_S)
    ndjson = httpx.post(f"{server.url}/api/chat", json=chat("hi"), timeout=LIMIT_S)

    rows = [json.loads(line) for line in ndjson.text.splitlines()]
    assert ": ping\n\n" in sse.text
    assert [r["message"]["content"] for r in rows[:2]] == ["", ""]
    assert rows[-1]["done"] is True


def test_an_error_within_the_grace_keeps_its_status(start_server: Callable[..., ServerProcess]):
    """A load that fails at once is a status code even for a stream."""
    server = start_server(HOSHIKAGE_ECHO__FAIL_LOAD="no memory left")

    answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat(stream=True))

    assert answer.status_code == 500
    assert "no memory left" in answer.json()["error"]["message"]
    assert answer.json()["error"]["code"] == "model_load_failed"
    assert answer.headers["x-should-retry"] == "false"


def test_an_error_after_the_grace_comes_in_the_stream(start_server: Callable[..., ServerProcess]):
    """A load that fails late is an event of the stream that has begun meanwhile."""
    server = start_server(
        HOSHIKAGE_ECHO__FAIL_LOAD="no memory left",
        HOSHIKAGE_ECHO__LOAD_DELAY_S="0.5",
        HOSHIKAGE_SERVER__HEADER_GRACE_S="0.1",
    )

    answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat(stream=True))

    assert answer.status_code == 200
    assert "no memory left" in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_crash_in_mid_stream_is_an_event_and_the_next_request_loads_again(
    start_server: Callable[..., ServerProcess],
):
    """When a model dies, its callers are told in the stream, and the next request starts a new one."""
    server = start_server(HOSHIKAGE_ECHO__CRASH_AFTER="2")
    url = f"{server.url}/v1/chat/completions"

    first = httpx.post(url, json=chat("a b c", stream=True))
    second = httpx.post(url, json=chat("a", stream=True))

    assert '"code":"worker_died"' in first.text
    assert text_of([json.loads(x[6:]) for x in second.text.splitlines() if x.startswith("data: {")]) == "a"
    assert len([x for x in server.lines if x["event"] == "model_loaded"]) == 2


def test_a_crash_before_the_answer_is_503(start_server: Callable[..., ServerProcess]):
    """An answer in one piece that loses its model is 503, and may be tried again."""
    server = start_server(HOSHIKAGE_ECHO__CRASH_AFTER="1")

    answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat("a b c"))

    assert answer.status_code == 503
    assert "x-should-retry" not in answer.headers


def test_a_full_queue_is_503_with_an_honest_wait(start_server: Callable[..., ServerProcess]):
    """Over the limits, each protocol says that the server is busy, and when to come again."""
    server = start_server(
        HOSHIKAGE_ECHO__TOKENS_PER_SECOND="5",
        HOSHIKAGE_ADMISSION__MAX_RUNNING="1",
        HOSHIKAGE_ADMISSION__MAX_QUEUED="0",
    )
    first = raw_request(server.url, json.dumps(chat(LONG)).encode())
    until(lambda: running(server) == 1)

    openai = httpx.post(f"{server.url}/v1/chat/completions", json=chat())
    ollama = httpx.post(f"{server.url}/api/chat", json=chat())

    assert openai.status_code == 503
    assert int(openai.headers["retry-after"]) >= 1
    assert ollama.status_code == 503
    assert ollama.json()["error"] == "server busy, please try again.  maximum pending requests exceeded"
    first.close()


def test_two_models_take_turns_where_one_may_be_loaded(start_server: Callable[..., ServerProcess]):
    """With room for one model, asking for another lets the idle one go."""
    server = start_server(HOSHIKAGE_ECHO__MODELS='["a", "b"]', HOSHIKAGE_RESIDENCY__MAX_LOADED="1")
    for name in ("a", "b", "a"):
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat("hi", model=name))
        assert answer.status_code == 200

    until(lambda: [m["name"] for m in httpx.get(f"{server.url}/v1/status").json()["loaded"]] == ["a"])


def test_japanese_is_written_as_it_is(echo_server: ServerProcess):
    """An answer in one piece carries its text unescaped, with the keys in the protocol's order."""
    answer = httpx.post(f"{echo_server.url}/v1/chat/completions", json=chat("星影"))

    assert "星影".encode() in answer.content
    assert answer.text.startswith('{"id":"chatcmpl-')


def test_ready_and_version_answer(echo_server: ServerProcess):
    """The small status routes answer with what they promise."""
    ready = httpx.get(f"{echo_server.url}/ready").json()
    version = httpx.get(f"{echo_server.url}/v1/api/version").json()
    status = httpx.get(f"{echo_server.url}/v1/status").json()

    assert ready["status"] == "ready"
    assert version["version"] == status["versions"]["hoshikage"]
    assert status["uptime_s"] > 0


def test_sigint_ends_the_server_like_sigterm(start_server: Callable[..., ServerProcess]):
    """Ctrl-C drains and ends with status 0."""
    server = start_server()

    assert server.stop(signal.SIGINT) == 0


def test_a_second_signal_ends_the_server_at_once(start_server: Callable[..., ServerProcess]):
    """Who does not want to wait for the drain signals again."""
    server = start_server(HOSHIKAGE_ECHO__TOKENS_PER_SECOND="5")
    connection = raw_request(server.url, json.dumps(chat(LONG)).encode())
    until(lambda: running(server) == 1)
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("server_draining")

    assert server.stop() == 1
    connection.close()


def test_idle_models_are_unloaded(start_server: Callable[..., ServerProcess]):
    """After the idle time, counted from the last answer, the model goes."""
    server = start_server(IDLE_TIMEOUT_SECONDS="0.3")
    began = time.monotonic()
    httpx.post(f"{server.url}/v1/chat/completions", json=chat("hi"))

    server.wait_for("model_unloaded", model="echo")
    assert time.monotonic() - began >= 0.3
