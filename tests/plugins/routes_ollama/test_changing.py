"""The routes that change models, over a real socket: statuses, lines, large and broken bodies."""

from __future__ import annotations

import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from hoshikage.core.http.body import check
from hoshikage.plugins.routes_ollama.bodies import CreateBody
from hoshikage.plugins.routes_ollama.changing import new_model, stream_steps
from tests.core.gguf.raw_gguf import SMALL
from tests.plugins.routes_ollama.made import HELLO, lines, refusal
from tests.server import ServerProcess
from tests.wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

MAX_BLOB_BYTES = 300_000_000
BIG_BYTES = 200_000_000
PIECE = bytes(1 << 20)
AT_ONCE = 8
LIMIT_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose bodies are small, but whose blobs are not."""
    settings = {"SERVER__MAX_BODY_BYTES": "100000", "SERVER__MAX_BLOB_BYTES": str(MAX_BLOB_BYTES)}
    variables = {f"HOSHIKAGE_{key}": value for key, value in settings.items()}
    server = ServerProcess(tmp_path_factory.mktemp("changing"), variables)
    yield server
    server.stop()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def send(server: ServerProcess, content: Any, digest: str) -> httpx.Response:
    return httpx.post(f"{server.url}/api/blobs/{digest}", content=content, timeout=LIMIT_S)


def head(server: ServerProcess, digest: str) -> int:
    return httpx.head(f"{server.url}/api/blobs/{digest}").status_code


def post(server: ServerProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/api/{path}", json=body, timeout=LIMIT_S)


def blobs(server: ServerProcess) -> list[Path]:
    return list((server.data_dir / "blobs").glob("*"))


def test_blob_is_taken_once(server: ServerProcess):
    """404 before, 201 for a new one, 200 from then on; the answers have no body."""
    digest = digest_of(b"a blob")

    before = head(server, digest)
    answers = [send(server, b"a blob", digest) for _ in range(2)]

    assert (404, [201, 200], 200) == (before, [a.status_code for a in answers], head(server, digest))
    assert [b"", b""] == [a.content for a in answers]
    assert b"a blob" == (server.data_dir / "blobs" / digest.replace(":", "-")).read_bytes()


@pytest.mark.parametrize(
    "digest", ["sha256:zz", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha256-..", "x" * 300, "%2e%2e%2fx"]
)
def test_digest_that_is_none_is_refused(server: ServerProcess, digest: str):
    """No such text becomes a path; one with a slash is no route at all."""
    known = {400} if "%2f" not in digest else {404}

    assert known == {head(server, digest), send(server, b"x", digest).status_code}


def test_wrong_digest_leaves_nothing(server: ServerProcess):
    """The answer names both digests, and no part of the file stays."""
    announced, found = digest_of(b"one"), digest_of(b"other")
    before = blobs(server)

    answer = send(server, b"other", announced)

    assert 400 == answer.status_code
    assert announced in answer.json()["error"]
    assert found in answer.json()["error"]
    assert (404, before) == (head(server, announced), blobs(server))


def test_upload_that_breaks_off_leaves_nothing(server: ServerProcess):
    """A client that goes away in the middle."""
    before = blobs(server)
    digest = digest_of(b"never whole")
    host, port = server.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /api/blobs/{digest} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9000000\r\n\r\n".encode()
        )
        connection.sendall(PIECE)
        until(lambda: len(blobs(server)) > len(before))

    until(lambda: blobs(server) == before)


def test_big_blob_goes_to_disk_and_not_through_memory(server: ServerProcess):
    """A file far over the bound of bodies is taken, and the server does not grow by a quarter of it."""
    digest = hashlib.sha256()
    pieces = BIG_BYTES // len(PIECE)
    for _ in range(pieces):
        digest.update(PIECE)
    name = f"sha256:{digest.hexdigest()}"
    process = psutil.Process(server.process.pid)
    before, peak = process.memory_info().rss, 0

    def body() -> Iterator[bytes]:
        nonlocal peak
        for _ in range(pieces):
            peak = max(peak, process.memory_info().rss)
            yield PIECE

    answer = send(server, body(), name)

    assert 201 == answer.status_code
    assert peak - before < BIG_BYTES / 4
    assert pieces * len(PIECE) == (server.data_dir / "blobs" / name.replace(":", "-")).stat().st_size


@pytest.mark.parametrize(("announced", "status"), [("here", 200), ("sha256:none", 400)])
def test_answer_that_needs_no_body_reaches_its_sender(server: ServerProcess, announced: str, status: int):
    """A client that sends all the same is let finish; otherwise it would see a broken connection and no answer."""
    content = bytes(20 << 20)
    digest = digest_of(content)
    send(server, content, digest)

    answers = {send(server, content, digest if announced == "here" else announced).status_code for _ in range(5)}

    assert {status} == answers


def test_too_big_a_blob_is_refused(server: ServerProcess):
    """By the length that the client announces, before anything is sent."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection:
        length = MAX_BLOB_BYTES + 1
        head_lines = f"POST /api/blobs/{digest_of(b'')} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head_lines.encode() + b"x")

        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413")


def test_a_blob_without_room_is_refused(start_server: Callable[..., ServerProcess]):
    """By the length that the client announces, before anything is sent; the answer names the folder and the bytes."""
    server = start_server(HOSHIKAGE_SERVER__MAX_BLOB_BYTES=str(1 << 60))
    host, port = server.url.removeprefix("http://").split(":")
    length = 1 << 59
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection:
        head_lines = f"POST /api/blobs/{digest_of(b'')} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head_lines.encode() + b"x")

        answer = HTTPResponse(connection)
        answer.begin()
        problem = json.loads(answer.read())["error"]

    assert 507 == answer.status
    assert f"{length} are to come" in problem
    assert str(server.data_dir / "blobs") in problem
    assert [] == blobs(server)


def test_other_bodies_keep_their_bound(server: ServerProcess):
    """Only blobs may be large."""
    assert 413 == post(server, "create", model="x", **{"from": "echo"}, system="s" * 200_000).status_code


def test_steps_are_lines(server: ServerProcess):
    """By default a stream of JSON lines that ends with `success`; without streaming that alone."""
    digest = digest_of(SMALL)
    send(server, SMALL, digest)

    streamed = post(server, "create", model="s1", files={"m.gguf": digest})
    whole = post(server, "create", name="s2", stream=False, **{"from": "s1"})

    steps = [row["status"] for row in lines(streamed.content)]
    assert [f"using existing layer {digest}", "writing manifest", "success"] == steps
    assert "application/x-ndjson" == streamed.headers["content-type"]
    assert {"status": "success"} == whole.json()


async def test_stream_that_fails_ends_with_an_error():
    """Whatever it is that fails, and after whatever was said before."""

    async def steps() -> AsyncGenerator[str, None]:
        yield "writing manifest"
        raise ZeroDivisionError

    answer = await stream_steps(steps())

    rows = lines(await answer.get_data(as_text=False))
    assert ["writing manifest", None] == [row.get("status") for row in rows]
    assert "internal error; the server's log has the details" == rows[-1]["error"]


def test_delete_takes_a_body(server: ServerProcess):
    """With the new spelling or the old; the second time there is nobody left."""
    for field in ("model", "name"):
        post(server, "create", model="gone", stream=False, **{"from": "echo"})
        asked = {"url": f"{server.url}/api/delete", "json": {field: "GONE:latest"}}
        statuses = [httpx.request("DELETE", **asked).status_code for _ in range(2)]

        assert [200, 404] == statuses


def test_creates_at_once_leave_a_whole_registry(server: ServerProcess):
    """Many clients create under one name and under names of their own."""
    names = ["shared", *(f"own{number}" for number in range(AT_ONCE))] * 2

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(lambda name: post(server, "create", model=name, stream=False, **{"from": "echo"}), names)
        )

    written = json.loads((server.data_dir / "model_map.json").read_bytes())
    listed = {row["name"] for row in httpx.get(f"{server.url}/api/tags").json()["models"]}
    assert {200} == {answer.status_code for answer in answers}
    assert set(names) <= set(written)
    assert {f"{name}:latest" for name in names} <= listed


def test_parent_is_shown(server: ServerProcess):
    """In the list, beside what is loaded, and with the model itself."""
    post(server, "create", model="child", stream=False, **{"from": "echo"})
    post(server, "chat", model="child", messages=[HELLO], stream=False)

    rows = [
        *httpx.get(f"{server.url}/api/tags").json()["models"],
        *httpx.get(f"{server.url}/api/ps").json()["models"],
        {"name": "child:latest", **post(server, "show", model="child").json()},
    ]

    assert ["echo"] * 3 == [r["details"]["parent_model"] for r in rows if r["name"] == "child:latest"]


def test_opening_is_used_by_all_routes(server: ServerProcess):
    """A model's system prompt reaches chat, generate and OpenAI's chat alike."""
    post(server, "create", model="opened", stream=False, system="one two three four five", **{"from": "echo"})

    def counts(model: str) -> list[int]:
        openai = httpx.post(f"{server.url}/v1/chat/completions", json={"model": model, "messages": [HELLO]})
        return [
            post(server, "chat", model=model, messages=[HELLO], stream=False).json()["prompt_eval_count"],
            post(server, "generate", model=model, prompt="hello", stream=False).json()["prompt_eval_count"],
            openai.json()["usage"]["prompt_tokens"],
        ]

    plain, opened = counts("echo"), counts("opened")

    assert all(more > less for more, less in zip(opened, plain, strict=True))
    assert 1 == len(set(opened))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"quantize": "q4_K_M"}, "quantize"),
        ({"quantization": "q4_K_M"}, "quantize"),
        ({"modelfile": "FROM x"}, "modelfile"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages[0]"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, r"messages[0].role"),
        ({"messages": [HELLO, {"role": "user", "images": ["x"]}]}, "images"),
        ({"files": {"a": 1}}, "files"),
        ({"model": ""}, "model is required"),
    ],
)
def test_body_that_makes_no_sense_is_refused(fields: dict[str, Any], words: str):
    """The error names the field."""
    error = refusal(lambda: new_model(check({"model": "m", "from": "a", **fields}, CreateBody)))

    assert words in error.message


def test_body_becomes_what_the_store_takes():
    """`null` is unset, and several licenses are one text."""
    body = check({"name": "m", "from": "a", "license": ["a", "b"], "template": None, "messages": [HELLO]}, CreateBody)

    wanted = new_model(body)

    assert ("m", "a", "a\nb", None, None) == (wanted.name, wanted.base, wanted.license, wanted.template, wanted.files)
    assert ["hello"] == [message.content for message in wanted.messages or ()]
