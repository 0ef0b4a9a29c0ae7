"""Indexes on a real Chroma server: the server takes a second to start, once."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from hoshikage.core.errors import ConfigError
from hoshikage.plugins.memory.index import vector_index as module
from hoshikage.plugins.memory.index.chroma import IndexFailed
from hoshikage.plugins.memory.index.chroma_server import Server, checked_url
from tests.fakes import until
from tests.plugins.memory.bench import OWNER, clustered

START_LIMIT_S = 20.0


class ChromaServer:
    """`chroma run` on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
        self._command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                httpx.get(f"{self.url}/api/v2/heartbeat").raise_for_status()
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = ChromaServer(tmp_path_factory.mktemp("chroma"))
    yield running
    running.kill()


@pytest.fixture
def bench(bench_in, tmp_path, server, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    return bench_in(tmp_path, shelf=Server(server.url))


def names(server: ChromaServer) -> set[str]:
    import chromadb

    client = chromadb.HttpClient(port=server.port)
    found = {collection.name for collection in client.list_collections()}
    client.close()
    return found


async def test_it_is_found_there_and_gone_from_there(bench, server):
    """The server knows numbers and no texts; what is forgotten goes before that is acknowledged."""
    vectors = clustered(150)
    memories = bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    (row,) = bench.database.index.indexed()
    before = names(server)
    near = await bench.index.nearest(OWNER, vectors[7])
    bench.database.forget(OWNER, memories[7].id)
    await bench.index.sweep()

    assert near is not None
    assert 8 in near.numbers
    assert row.collection in before - names(server)


async def test_two_stores_share_a_server(bench_in, bench, server, tmp_path):
    """None takes away or finds what the other one has there, though their numbers are the same."""
    other = bench_in(tmp_path / "other", shelf=Server(server.url))
    for one, seed in ((bench, 1), (other, 2)):
        one.tell(OWNER, clustered(50, seed=seed), f"of {seed}, text")
        await one.indexed(OWNER)

    assert ["of 1, text 3"] == await bench.found(OWNER, clustered(50, seed=1)[3])
    assert ["of 2, text 3"] == await other.found(OWNER, clustered(50, seed=2)[3])


async def test_a_collection_that_somebody_deleted_is_made_anew(bench, server):
    """The search is exact meanwhile."""
    vectors = clustered(50)
    bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    (row,) = bench.database.index.indexed()
    bench.shelf.drop(row.collection)
    with capture_logs() as logs:
        found = await bench.found(OWNER, vectors[3])
        await bench.indexed(OWNER)

    assert ["text 3"] == found == await bench.found(OWNER, vectors[3])
    assert ["vector_index_failed", "vector_index_damaged", "vector_index_made"] == [line["event"] for line in logs]


async def test_a_server_that_dies_and_comes_back(bench, server):
    """Searches are exact while it is away; then what it has is used again, and nothing is made anew. 1 s: it starts."""
    vectors = clustered(50)
    bench.tell(OWNER, vectors)
    await bench.indexed(OWNER)
    server.kill()
    with capture_logs() as logs:
        found = await bench.found(OWNER, vectors[3])
        await until(lambda: "vector_index_unavailable" in [line["event"] for line in logs])
        server.start()
        await bench.indexed(OWNER)

    assert ["text 3"] == found == await bench.found(OWNER, vectors[3])
    assert ["vector_index_failed", "vector_index_unavailable"] == [line["event"] for line in logs]


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost:8000"),
        ("http://[::1]:9/", "http://[::1]:9"),
        ("https://chroma.example", "https://chroma.example:443"),
    ],
)
def test_urls(url, checked):
    """This machine in the clear, another one encrypted."""
    assert checked == checked_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7:8000",
        "http://chroma:8000",
        "127.0.0.1:8000",
        "ftp://localhost",
        "http://localhost/x",
        "http://a:b@localhost",
        "http://[",
        "http://localhost:x",
    ],
)
def test_urls_that_are_refused(url):
    """Vectors tell what was said, and Chroma asks nobody who they are."""
    with pytest.raises(ConfigError, match=r"chroma\.url"):
        checked_url(url)


def test_a_server_that_is_not_there_is_told():
    """With its address."""
    with pytest.raises(IndexFailed, match=r"127\.0\.0\.1:9 does not answer"):
        Server("http://127.0.0.1:9").start()
