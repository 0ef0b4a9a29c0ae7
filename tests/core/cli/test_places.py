"""Moving models between disk, RAM disk and memory from the command line, through a real server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.core.cli.conftest import CommandLine
from tests.server import ServerProcess
from tests.staged import put_models, put_stager
from tests.wire import until

if TYPE_CHECKING:
    import subprocess


TIB = 1 << 40


@dataclass
class Live:
    """A server with the models `small` and `big` and a RAM disk that only notes, and the command line beside it."""

    server: ServerProcess
    hoshikage: CommandLine

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.hoshikage(*arguments, "--port", self.port)

    @property
    def port(self) -> str:
        return self.server.url.rpartition(":")[2]

    def said(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        done = self(*arguments)
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """The one line of a command that fails."""
        done = self(*arguments)
        assert (1, 1, "") == (done.returncode, done.stderr.count("\n"), done.stdout)
        return done.stderr

    def status(self) -> Any:
        return httpx.get(f"{self.server.url}/v1/status").json()

    def loaded(self) -> list[str]:
        return [row["name"] for row in self.status()["loaded"]]


def start(folder: Path, *, available: bool = True) -> Live:
    """Start such a server."""
    put_models(folder, small={"memory_bytes": 3 << 20}, big={"memory_bytes": TIB})
    variables = put_stager(folder, available=available)
    return Live(ServerProcess(folder, variables), CommandLine(folder, variables))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One for all tests that leave it as they found it."""
    live = start(tmp_path_factory.mktemp("places"))
    yield live
    live.server.stop()


@pytest.fixture
def live(shared: Live) -> Iterator[Live]:
    """The same; whatever a test did with `small` is undone."""
    yield shared
    for action in ("unpin", "unload"):
        httpx.post(f"{shared.server.url}/v1/{action}", json={"model": "small"}).raise_for_status()
    until(lambda: shared.loaded() == [])
    httpx.post(f"{shared.server.url}/v1/unstage", json={"model": "small"}).raise_for_status()


@pytest.fixture
def without_ram_disk(tmp_path: Path) -> Iterator[Live]:
    """One whose RAM disk is not available."""
    live = start(tmp_path / "data", available=False)
    yield live
    live.server.stop()


def test_plan_of_a_model_that_fits(live: Live):
    """A table with the bytes, then the advice."""
    text = live.said("plan", "small")
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}

    assert rows["fits"].split()[-1] == "yes"
    assert "3.0 MiB" in rows["weights"]
    assert "on disk" in rows["now"]
    assert text.count("nobody") == 2
    assert "- `hoshikage stage small` copies it to the RAM disk beforehand" in text


def test_plan_of_a_model_that_never_fits(live: Live):
    """It says no, and what is missing; that is an answer and no failure."""
    text = live.said("plan", "big", "--num-ctx", "2048", "--parallel", "2")

    assert "no" in next(line for line in text.splitlines() if "fits" in line).split()
    assert "are missing" in text
    assert "(4096)" in text


def test_plan_as_json(live: Live):
    """For scripts it is what the server answers."""
    found = live.hoshikage.json("plan", "small", "--port", live.port)

    assert ("small", True, 3 << 20) == (found["model"], found["fits"], found["need"]["ram_bytes"])


def test_stage_and_unstage(live: Live):
    """A copy is made and given up; a second time it says that there is none."""
    staged = live.said("stage", "small")
    copies = [Path(row["file"]).name for row in live.status()["staged"]]

    assert ("small is on the RAM disk\n", ["small.gguf"]) == (staged, copies)
    assert "small has left the RAM disk\n" == live.said("unstage", "small")
    assert "small has no copy that could go" in live.said("unstage", "small")


def test_load_and_unload(live: Live):
    """A model is loaded for as long as is said, and let go."""
    assert "small is loaded\n" == live.said("load", "small", "--num-ctx", "2048", "--keep-alive", "-1")
    (row,) = live.status()["loaded"]
    assert ("small", None) == (row["name"], row["expires_at"])

    assert "small goes as soon as it is idle\n" == live.said("unload", "small")
    until(lambda: live.loaded() == [])


def test_pin_and_unpin(live: Live):
    """A pinned model stays when its time is over."""
    assert "small is pinned\n" == live.said("pin", "small")
    live.said("load", "small", "--keep-alive", "0")
    assert ["small"] == live.loaded()

    assert "small is not pinned any more\n" == live.said("unpin", "small")
    until(lambda: live.loaded() == [])


def test_ps_shows_the_ram_disk(live: Live):
    """Below the loaded models come the copies, pinned or not, and the room."""
    live.said("load", "small")
    live.said("pin", "small")
    text = live.said("ps")

    assert "3.0 MiB" in next(line for line in text.splitlines() if line.startswith("small"))
    row = next(line for line in text.splitlines() if "small.gguf" in line)
    assert "100 B" in row
    assert "ready" in row
    assert "yes" in row
    assert f"100 B of 931.3 GiB used in {live.server.data_dir / 'ram'}" in text


def test_ps_says_why_there_is_no_ram_disk(without_ram_disk: Live):
    """The stager's reason is there."""
    assert "no RAM disk: told so\n" in without_ram_disk.said("ps")
    assert "'small' cannot be staged: told so" in without_ram_disk.refused("stage", "small")


def test_refusals_are_one_line(live: Live):
    """What the server refuses is told in its words."""
    assert "would be missing" in live.refused("load", "big")
    assert "keep_alive: 'soon' is no duration" in live.refused("load", "small", "--keep-alive", "soon")
    assert "num_ctx" in live.refused("plan", "small", "--num-ctx", "-1")
    assert "'echo' has no file" in live.refused("stage", "echo")


@pytest.mark.parametrize("action", ["plan", "unstage", "pin"])
def test_unknown_models_are_one_line(live: Live, action: str):
    """An unknown name is exit 1."""
    assert "error: model 'nobody' not found; `hoshikage list` shows the names\n" == live.refused(action, "nobody")


@pytest.mark.parametrize("action", ["plan", "load"])
def test_without_a_server_it_is_one_line(hoshikage: CommandLine, action: str):
    """What only a server can do says how to start one."""
    done = hoshikage(action, "echo", "--port", "1")

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert "hoshikage serve" in done.stderr


def test_pins_need_no_server(hoshikage: CommandLine):
    """Without a server the pin is remembered for the next one."""
    file = hoshikage.data_dir / "pins.json"
    done = hoshikage("pin", "ECHO", "--port", "1")
    pinned = json.loads(file.read_text())
    hoshikage("unpin", "echo:latest", "--port", "1")

    assert (0, "ECHO is pinned\n", ["echo"], []) == (done.returncode, done.stdout, pinned, json.loads(file.read_text()))


def test_the_next_server_knows_the_pin(hoshikage: CommandLine, start_server: Callable[..., ServerProcess]):
    """A model that was pinned without a server does not leave the one that is started then."""
    hoshikage("pin", "echo", "--port", "1")
    server = start_server(hoshikage.data_dir)
    httpx.post(f"{server.url}/v1/load", json={"model": "echo", "keep_alive": 0}).raise_for_status()

    assert [True] == [row["pinned"] for row in httpx.get(f"{server.url}/v1/status").json()["loaded"]]


# --- what is no Hoshikage ---


class Stranger(http.server.BaseHTTPRequestHandler):
    """Some other server: it answers every POST with a page."""

    def do_POST(self) -> None:
        """Answer."""
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"<html>not here</html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    """The port of another server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield str(server.server_port)
        server.shutdown()
        thread.join()


def test_another_server_on_the_port_is_one_line(hoshikage: CommandLine, stranger: str):
    """Who answers with a page and no JSON is no Hoshikage."""
    done = hoshikage("stage", "echo", "--port", stranger)

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert "answered 404 and no JSON; is it a Hoshikage?" in done.stderr
