"""`hoshikage pull` as a process of its own, against a real registry and a server in the Hub's layout."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.file_server import FileServer, Served
from tests.oci_registry import OciRegistry, free_port
from tests.server import ServerProcess, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.core.cli.conftest import CommandLine

LIMIT_S = 60.0
COMMIT = "c0ffee" + "0" * 34
REFERENCE = "hf.co/org/tiny-GGUF"
PATH = f"/org/tiny-GGUF/resolve/{COMMIT}/m-Q4_0.gguf"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    with OciRegistry(tmp_path_factory.mktemp("registry"), free_port()).running() as registry:
        yield registry


@pytest.fixture
def large_gguf(small_gguf: Path) -> bytes:
    """A valid model of 2 MB: what lies behind the last tensor is no one's."""
    return small_gguf.read_bytes() + bytes(2_000_000)


@pytest.fixture
def hub(large_gguf: bytes) -> Iterator[FileServer]:
    """The Hub, with one model."""
    sha256 = hashlib.sha256(large_gguf).hexdigest()
    lfs = {"sha256": sha256, "size": len(large_gguf), "pointerSize": 130}
    listing = {"id": "org/tiny-GGUF", "sha": COMMIT, "siblings": [{"rfilename": "m-Q4_0.gguf", "lfs": lfs}]}
    with FileServer().serving() as server:
        server.pages["/api/models/org/tiny-GGUF"] = Served(json.dumps(listing).encode())
        server.pages[PATH] = Served(large_gguf)
        yield server


@pytest.fixture
def start_pull(hoshikage: CommandLine, hub: FileServer) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `hoshikage pull` and does not wait for it."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "hoshikage", "pull", REFERENCE],
            env=environment(hoshikage.data_dir, HF_ENDPOINT=hub.url),
            cwd=hoshikage.data_dir,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def blobs(hoshikage: CommandLine) -> list[Path]:
    return sorted((hoshikage.data_dir / "blobs").iterdir())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_model_of_a_registry_is_pulled(hoshikage: CommandLine, registry: OciRegistry, small_gguf: Path):
    """It is listed under the name given, with what came along; no server is needed."""
    registry.push(
        "team/tiny", [("model", small_gguf.read_bytes()), ("system", b"be kind"), ("params", b'{"top_k": 3}')]
    )
    hoshikage.variables["HOSHIKAGE_PULL__ALLOWED_HOSTS"] = f'["{registry.host}"]'

    done = hoshikage("pull", f"{registry.host}/team/tiny", "--insecure", "--name", "tiny")
    entry = json.loads((hoshikage.data_dir / "model_map.json").read_text())["tiny"]

    assert (done.returncode, done.stdout) == (0, "pulled tiny\n")
    assert "pulling manifest" in done.stderr
    assert "tiny" in [row["name"] for row in hoshikage.json("list")]
    assert (entry["system"], entry["parameters"]) == ("be kind", {"top_k": 3})
    assert blobs(hoshikage)[0].read_bytes() == small_gguf.read_bytes()


def test_a_model_of_the_hub_is_pulled(hoshikage: CommandLine, hub: FileServer, large_gguf: bytes):
    """HF_ENDPOINT and HF_TOKEN are honoured; the name is the reference; tags and digest are up to date."""
    done = hoshikage("pull", REFERENCE, HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret")
    shown = hoshikage.json("show", REFERENCE)
    tags = json.loads((hoshikage.data_dir / "tags_cache.json").read_text())

    assert (done.returncode, done.stdout) == (0, f"pulled {REFERENCE}\n")
    assert shown["digest"]
    assert shown["size_bytes"] == len(large_gguf)
    assert [row["id"] for row in tags["data"]] == [REFERENCE]
    assert hub.asked[0].headers["Authorization"] == "Bearer hf_secret"
    assert "hf_secret" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_pull_goes_on(
    hoshikage: CommandLine,
    hub: FileServer,
    large_gguf: bytes,
    start_pull: Callable[[], subprocess.Popen[str]],
    number: signal.Signals,
):
    """Interrupted or killed in the middle, the next call asks for the rest only, and no half file is left."""
    hub.pages[PATH] = Served(large_gguf, hold_after=1_500_000)
    process = start_pull()
    wait_until(lambda: hub.holding.is_set() and blobs(hoshikage)[0].stat().st_size >= 1_000_000)
    process.send_signal(number)
    _, errors = process.communicate(timeout=LIMIT_S)
    kept = blobs(hoshikage)[0].stat().st_size
    hub.pages[PATH] = Served(large_gguf)
    sent = hub.sent[PATH]

    done = hoshikage("pull", REFERENCE, HF_ENDPOINT=hub.url)

    assert process.returncode == (-9 if number == signal.SIGKILL else 1)
    assert number == signal.SIGKILL or "error: stopped; what has come is kept" in errors
    assert done.returncode == 0, done.stderr
    assert hub.sent[PATH] - sent == len(large_gguf) - kept
    assert [file.read_bytes() for file in blobs(hoshikage)] == [large_gguf]


def test_server_and_command_line_bring_one_file_once(
    hoshikage: CommandLine, hub: FileServer, large_gguf: bytes, start_pull: Callable[[], subprocess.Popen[str]]
):
    """While the command downloads, the server waits for it, and both end well; the file is sent once."""
    hub.pages[PATH] = Served(large_gguf, hold_after=1_500_000)
    server = ServerProcess(hoshikage.data_dir, {"HF_ENDPOINT": hub.url})
    try:
        process = start_pull()
        wait_until(lambda: hub.holding.is_set() and bool(blobs(hoshikage)))
        with httpx.stream("POST", f"{server.url}/api/pull", json={"model": REFERENCE}, timeout=LIMIT_S) as answer:
            steps = (json.loads(line) for line in answer.iter_lines())
            waiting = [next(steps), next(steps)]
            hub.release.set()
            last = [*steps][-1]
        status = process.wait(LIMIT_S)
    finally:
        server.stop()

    assert waiting[1]["completed"] < len(large_gguf)
    assert (last, status) == ({"status": "success"}, 0)
    assert hub.sent[PATH] == len(large_gguf)


@pytest.mark.parametrize("reference", ["", "../../etc/passwd", "a b", "s3://bucket/model", "/absolute"])
def test_bad_references_are_one_line(hoshikage: CommandLine, reference: str):
    """Exit status 1, one line, nothing written."""
    done = hoshikage("pull", "--", reference)

    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.strip()] == [done.stderr.strip()]
    assert not (hoshikage.data_dir / "blobs").exists()


def test_a_private_registry_is_one_line_with_the_setting(hoshikage: CommandLine, hub: FileServer):
    """Not allowed: the line names the setting, and the server hears nothing."""
    done = hoshikage("pull", f"{hub.host}/team/tiny", "--insecure")

    assert done.returncode == 1
    assert f'pull.allowed_hosts = ["{hub.host}"]' in done.stderr.splitlines()[-1]
    assert hub.asked == []


def test_a_name_that_is_taken_costs_no_download(hoshikage: CommandLine, hub: FileServer, small_gguf: Path):
    """A model of the user's own is not replaced."""
    hoshikage("add", str(small_gguf), "mine")

    done = hoshikage("pull", REFERENCE, "--name", "mine", HF_ENDPOINT=hub.url)

    assert done.returncode == 1
    assert "hoshikage rm mine" in done.stderr
    assert hub.asked == []
