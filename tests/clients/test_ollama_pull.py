"""Pulling through the server, as the real `ollama` client and plain HTTP do it, from Debian's registry."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from typing import TYPE_CHECKING

import gguf
import httpx
import numpy
import ollama
import pytest

from tests.file_server import FileServer, Served
from tests.oci_registry import OciRegistry, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.server import ServerProcess

LIMIT_S = 60.0
PAD_BYTES = 2_000_000
LAYER = "application/vnd.ollama.image.model"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A valid model without weights to speak of, and padding behind them."""
    file = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_tensor("token_embd.weight", numpy.zeros((4, 32), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file.read_bytes() + bytes(PAD_BYTES)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, weights: bytes) -> Iterator[OciRegistry]:
    with OciRegistry(tmp_path_factory.mktemp("registry"), free_port()).running() as registry:
        registry.push("team/tiny", [("model", weights), ("system", b"be kind"), ("params", b'{"top_k": 3}')])
        yield registry


@pytest.fixture
def faulty(weights: bytes) -> Iterator[FileServer]:
    """A registry that can be held in the middle of the weights."""
    digest = f"sha256:{hashlib.sha256(weights).hexdigest()}"
    manifest = {"schemaVersion": 2, "layers": [{"mediaType": LAYER, "digest": digest, "size": len(weights)}]}
    with FileServer().serving() as server:
        server.pages["/v2/team/tiny/manifests/latest"] = Served(json.dumps(manifest).encode())
        server.pages[f"/v2/team/tiny/blobs/{digest}"] = Served(weights, hold_after=1_500_000)
        yield server


@pytest.fixture
def serve(start_server: Callable[..., ServerProcess]) -> Callable[..., ServerProcess]:
    """A server that may call these hosts."""

    def start(*hosts: str, **variables: str) -> ServerProcess:
        return start_server(HOSHIKAGE_PULL__ALLOWED_HOSTS=json.dumps(hosts), **variables)

    return start


def wait_for_partial(server: ServerProcess, faulty: FileServer) -> Path:
    """The file that has begun to grow, once the server has sent what it may."""
    assert faulty.holding.wait(LIMIT_S)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        for file in (server.data_dir / "blobs").glob("*-partial"):
            if file.stat().st_size >= 1_000_000:
                return file
        time.sleep(0.01)
    pytest.fail("nothing arrives")


def lines(server: ServerProcess, **body: object) -> list[dict]:
    answer = httpx.post(f"{server.url}/api/pull", json=body, timeout=LIMIT_S)
    assert answer.content.endswith(b"\n")
    return [json.loads(line) for line in answer.content[:-1].split(b"\n")]


def test_the_client_sees_progress_and_the_model(serve: Callable[..., ServerProcess], registry: OciRegistry):
    """Pulled through the real client, step by step; then it is listed and shown, and deleted with its file."""
    server = serve(registry.host)
    client = ollama.Client(server.url)
    name = f"{registry.host}/team/tiny"

    steps = list(client.pull(name, insecure=True, stream=True))
    shown = client.show(name)
    listed = [m.model for m in client.list().models]
    client.delete(name)

    statuses = [s.status for s in steps]
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    assert {s.total for s in steps if s.digest} > {len(b"be kind")}
    assert all(s.completed <= s.total for s in steps if s.digest)
    assert f"{name}:latest" in listed
    assert "top_k" in (shown.parameters or "")
    assert list((server.data_dir / "blobs").iterdir()) == []


def test_the_lines_are_ollamas(serve: Callable[..., ServerProcess], registry: OciRegistry, weights: bytes):
    """One object per line; bytes where there is a file, nothing but the status elsewhere."""
    rows = lines(serve(registry.host), name=f"{registry.host}/team/tiny", insecure=True)

    digest = hashlib.sha256(weights).hexdigest()
    last = {
        "status": f"pulling {digest[:12]}",
        "digest": f"sha256:{digest}",
        "total": len(weights),
        "completed": len(weights),
    }
    assert rows[0] == {"status": "pulling manifest"}
    assert last in rows
    assert rows[-3:] == [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"}]


def test_without_a_stream_only_the_last_line_is_sent(serve: Callable[..., ServerProcess], registry: OciRegistry):
    """`stream: false` is one object, as JSON."""
    body = {"model": f"{registry.host}/team/tiny", "insecure": True, "stream": False}
    answer = httpx.post(f"{serve(registry.host).url}/api/pull", json=body, timeout=LIMIT_S)

    assert answer.json() == {"status": "success"}
    assert answer.headers["Content-Type"].startswith("application/json")


def test_a_late_failure_is_a_line(serve: Callable[..., ServerProcess], registry: OciRegistry):
    """After the first byte an error is the last line, and the client raises it."""
    server = serve(registry.host)
    name = f"{registry.host}/team/nobody"

    rows = lines(server, model=name, insecure=True)
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        list(ollama.Client(server.url).pull(name, insecure=True, stream=True))

    assert rows[0] == {"status": "pulling manifest"}
    assert list(rows[1]) == ["error"]
    assert "pull model manifest: file does not exist" in rows[1]["error"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/../b", "/etc/passwd", "a%2f..%2fb", "a\\b", "a\0b", "file:///etc/passwd", "a" * 300]
)
def test_names_with_a_path_are_refused(echo_server: ServerProcess, name: str):
    """400 before anything is asked or written."""
    answer = httpx.post(f"{echo_server.url}/api/pull", json={"model": name}, timeout=LIMIT_S)

    assert answer.status_code == 400
    assert "error" in answer.json()
    assert not (echo_server.data_dir / "blobs").exists() or list((echo_server.data_dir / "blobs").iterdir()) == []


@pytest.mark.parametrize("body", [{}, {"model": ""}, {"model": 5}, {"model": "a", "insecure": "yes"}])
def test_bodies_that_make_no_sense_are_400(echo_server: ServerProcess, body: dict):
    """The error names the field."""
    assert httpx.post(f"{echo_server.url}/api/pull", json=body, timeout=LIMIT_S).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f.0.0.1", "0.0.0.0"])
def test_no_request_leaves_for_an_address_inside(echo_server: ServerProcess, faulty: FileServer, host: str):
    """However loopback is spelt, a listener there hears nothing; the error names the setting."""
    rows = lines(echo_server, model=f"{host}:{faulty.port}/team/tiny", insecure=True)

    assert "pull.allowed_hosts" in rows[-1]["error"]
    assert faulty.asked == []


def test_a_client_that_goes_away_ends_the_download(serve: Callable[..., ServerProcess], faulty: FileServer):
    """What came is kept, nothing runs on; the next pull goes on from there."""
    server = serve(faulty.host)
    body = {"model": f"{faulty.host}/team/tiny", "insecure": True}
    with httpx.stream("POST", f"{server.url}/api/pull", json=body, timeout=LIMIT_S) as answer:
        steps = answer.iter_lines()  # to let go of it would close the connection
        next(steps)
        partial = wait_for_partial(server, faulty)
    server.wait_for("pull_stopped", LIMIT_S)
    kept = partial.stat().st_size
    faulty.release.set()

    rows = lines(server, **body)

    assert partial.name.endswith("-partial")
    assert kept > 1_000_000
    assert rows[-1] == {"status": "success"}
    assert faulty.asked[-1].headers["Range"] == f"bytes={kept}-"


def test_two_clients_share_one_download(serve: Callable[..., ServerProcess], faulty: FileServer):
    """The second hears at once how far it is, and the weights are sent once."""
    server = serve(faulty.host)
    body = {"model": f"{faulty.host}/team/tiny", "insecure": True}
    first: list[dict] = []
    thread = threading.Thread(target=lambda: first.extend(lines(server, **body)))
    thread.start()
    assert faulty.holding.wait(LIMIT_S)
    with httpx.stream("POST", f"{server.url}/api/pull", json=body, timeout=LIMIT_S) as answer:
        steps = (json.loads(line) for line in answer.iter_lines())
        next(steps)
        joined = next(steps)
        faulty.release.set()
        last = [*steps][-1]
    thread.join(LIMIT_S)

    assert joined["completed"] > 0
    assert last == first[-1] == {"status": "success"}
    assert len(faulty.asked) == 2


def test_a_server_that_stops_tells_its_client(serve: Callable[..., ServerProcess], faulty: FileServer):
    """SIGTERM in the middle of a pull ends it at once, not after the drain, with a line; what came is kept."""
    server = serve(faulty.host)
    body = {"model": f"{faulty.host}/team/tiny", "insecure": True}
    with httpx.stream("POST", f"{server.url}/api/pull", json=body, timeout=LIMIT_S) as answer:
        steps = answer.iter_lines()  # to let go of it would close the connection
        next(steps)
        wait_for_partial(server, faulty)
        server.process.send_signal(signal.SIGTERM)
        last = json.loads([*steps][-1])
    status = server.process.wait(LIMIT_S)

    assert status == 0
    assert "what is here is kept" in last["error"]
    assert [f.name.endswith("-partial") for f in (server.data_dir / "blobs").iterdir()] == [True]
    assert not (server.data_dir / "model_map.json").exists()


def test_tokens_turn_up_nowhere(serve: Callable[..., ServerProcess], faulty: FileServer, tmp_path: Path):
    """A Hub that refuses, answers nonsense or cannot be reached: the token is in no line and no log."""
    faulty.pages["/api/models/org/gated"] = Served(b"", 403, {"X-Error-Code": "GatedRepo"})
    faulty.pages["/api/models/org/nonsense"] = Served(b"<html>")
    server = serve(HF_ENDPOINT=faulty.url, HF_TOKEN="hf_marker", HOSHIKAGE_LOG__LEVEL="debug")

    rows = [row for repo in ("gated", "nonsense", "none") for row in lines(server, model=f"hf.co/org/{repo}")]
    server.stop()

    assert len([row for row in rows if "error" in row]) == 3
    assert {a.headers["Authorization"] for a in faulty.asked} == {"Bearer hf_marker"}
    assert "hf_marker" not in json.dumps(rows)
    assert "hf_marker" not in json.dumps(server.lines)
