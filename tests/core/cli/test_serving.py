from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.core.cli.conftest import CommandLine
from tests.server import ServerProcess
from tests.wire import chat, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that leave it as they found it."""
    server = ServerProcess(tmp_path_factory.mktemp("serving"))
    yield server
    server.stop()


@pytest.fixture
def live(shared: ServerProcess) -> Iterator[tuple[ServerProcess, CommandLine]]:
    """A running server with nothing loaded, and the command line over the same data."""
    yield shared, CommandLine(shared.data_dir)
    httpx.post(f"{shared.url}/v1/unload", json={"model": "echo"}).raise_for_status()
    until(lambda: httpx.get(f"{shared.url}/v1/status").json()["loaded"] == [])


def port_of(server: ServerProcess) -> str:
    return server.url.rpartition(":")[2]


def test_add_and_rm_reach_a_running_server(live: tuple[ServerProcess, CommandLine], small_gguf: Path):
    """A server sees at once what the command line adds and removes."""
    server, hoshikage = live
    url = f"{server.url}/v1/models/small"
    assert httpx.get(url).status_code == 404

    hoshikage("add", str(small_gguf), "small")
    added = httpx.get(url).status_code
    hoshikage("rm", "small")
    removed = httpx.get(url).status_code

    assert (added, removed) == (200, 404)


def test_rm_unloads_the_model_of_a_running_server(live: tuple[ServerProcess, CommandLine]):
    """Removing a name lets its loaded model go."""
    server, hoshikage = live
    entry = {"path": "", "model": "", "engine": "echo", "stop": []}
    (server.data_dir / "model_map.json").write_text(json.dumps({"mine": entry}))
    httpx.post(f"{server.url}/v1/chat/completions", json=chat("hi", model="mine")).raise_for_status()

    hoshikage("rm", "mine")

    until(lambda: httpx.get(f"{server.url}/v1/status").json()["loaded"] == [])


def test_ps_shows_what_the_server_has_loaded(live: tuple[ServerProcess, CommandLine]):
    """`ps` asks the server."""
    server, hoshikage = live
    httpx.post(f"{server.url}/v1/chat/completions", json=chat("hi")).raise_for_status()

    (row,) = hoshikage.json("ps", "--port", port_of(server))["loaded"]

    assert (row["name"], row["state"], row["engine"]) == ("echo", "ready", "echo")


def test_ps_without_a_server_is_one_line(hoshikage: CommandLine):
    """Without a server `ps` says how to start one."""
    done = hoshikage("ps", "--port", "1")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "hoshikage serve" in done.stderr


def test_healthcheck_is_0_only_with_a_server(live: tuple[ServerProcess, CommandLine]):
    """The container's health check follows the server."""
    server, hoshikage = live

    assert hoshikage("healthcheck", "--port", port_of(server)).returncode == 0
    assert hoshikage("healthcheck", "--port", "1").returncode == 1


def test_run_asks_through_the_server(start_server: Callable[..., ServerProcess]):
    """With a server up, `run` is its client, also for a name that switches memory on."""
    server = start_server()

    done = CommandLine(server.data_dir)("run", "echo+memory", "hello there", "--port", port_of(server))

    assert done.stdout == "hello there\n"
    assert server.wait_for("request_done")["outcome"] == "done"


def test_run_works_without_a_server(hoshikage: CommandLine):
    """Without one, `run` loads the model itself."""
    assert hoshikage("run", "echo", "hello there", "--port", "1").stdout == "hello there\n"


def test_run_of_an_unknown_model_is_one_line(hoshikage: CommandLine):
    """An unknown name is exit 1."""
    done = hoshikage("run", "nobody", "hi")

    assert done.returncode == 1
    assert done.stderr == "error: model 'nobody' not found; `hoshikage list` shows the names\n"


def test_run_shows_the_servers_error(start_server: Callable[..., ServerProcess]):
    """What the server refuses is one line and exit 1."""
    server = start_server(HOSHIKAGE_ECHO__FAIL_LOAD="no memory left")

    done = CommandLine(server.data_dir)("run", "echo", "hi", "--port", port_of(server))

    assert done.returncode == 1
    assert "no memory left" in done.stderr
    assert done.stderr.count("\n") == 1
