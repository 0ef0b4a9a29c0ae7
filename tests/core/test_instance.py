"""One server per data directory, and what a second one says."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs

from hoshikage.core.errors import DataDirInUse
from hoshikage.core.instance import only_server
from tests.server import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server import ServerProcess

LIMIT_S = 30


def hoshikage(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside a server."""
    return subprocess.run(
        [sys.executable, "-m", "hoshikage", *arguments],
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


# --- two servers ---


def test_second_server_is_refused_with_the_holder_in_one_line(start_server: Callable[..., ServerProcess]):
    """A second server on one data directory says who holds it, in one line, and ends with 1; the first serves on."""
    first = start_server()

    second = hoshikage(first.data_dir, "serve", "--port", "0")

    assert 1 == second.returncode
    assert (
        f"error: another server (process {first.process.pid}) uses the data directory {first.data_dir}; "
        "stop it, or give this one another with HOSHIKAGE_DATA_DIR\n"
    ) == second.stderr
    assert 200 == httpx.get(f"{first.url}/health").status_code


def test_killed_server_frees_the_directory_at_once(start_server: Callable[..., ServerProcess]):
    """After `kill -9` the next server starts on the same directory, without any cleaning up."""
    first = start_server()
    first.stop(signal.SIGKILL)

    second = start_server(first.data_dir)

    assert 200 == httpx.get(f"{second.url}/health").status_code
    assert f"{second.process.pid}\n" == (first.data_dir / "server.pid").read_text()


@pytest.mark.model
def test_a_worker_that_outlives_its_server_holds_nothing(
    start_server: Callable[..., ServerProcess], smollm2_path: Path
):
    """Engines run in processes of their own; the next server need not wait for theirs to end."""
    first = start_server(MODEL_DIR=str(smollm2_path.parent))
    loaded = httpx.post(f"{first.url}/api/generate", json={"model": smollm2_path.stem}, timeout=LIMIT_S)
    (worker,) = (m["pid"] for m in httpx.get(f"{first.url}/v1/status").json()["loaded"])
    os.kill(worker, signal.SIGSTOP)  # it cannot even notice that its server is gone
    try:
        first.stop(signal.SIGKILL)
        second = httpx.get(f"{start_server(first.data_dir).url}/health")
    finally:
        with contextlib.suppress(ProcessLookupError):  # where the system ends it together with its server
            os.kill(worker, signal.SIGKILL)

    assert (200, 200) == (loaded.status_code, second.status_code)


def test_commands_work_beside_a_server(start_server: Callable[..., ServerProcess]):
    """The lock is the servers' alone."""
    server = start_server()

    assert 0 == hoshikage(server.data_dir, "list").returncode


def test_stopped_server_frees_the_directory(start_server: Callable[..., ServerProcess]):
    """A server that was stopped lets the next one start."""
    first = start_server()
    first.stop()

    assert 200 == httpx.get(f"{start_server(first.data_dir).url}/health").status_code


# --- in this process ---


def test_directory_is_made_and_freed(tmp_path: Path):
    """The data directory need not exist, and is free after the block, whatever ended it."""
    folder = tmp_path / "new" / "data"
    with pytest.raises(ZeroDivisionError), only_server(folder):
        raise ZeroDivisionError

    with only_server(folder), pytest.raises(DataDirInUse, match=f"process {os.getpid()}"), only_server(folder):
        pass


def test_holder_without_a_number_is_said_so(tmp_path: Path):
    """Between the lock and the number there is a moment in which the holder is not known."""
    with only_server(tmp_path):
        (tmp_path / "server.pid").unlink()

        with pytest.raises(DataDirInUse, match="its process is not known yet"), only_server(tmp_path):
            pass


def test_directory_that_cannot_be_locked_is_only_a_warning(tmp_path: Path):
    """A server on a directory that cannot be written runs, and says that nothing keeps a second one away."""
    (tmp_path / "data").write_text("a file where the directory should be")
    with capture_logs() as logs, only_server(tmp_path / "data"):
        pass

    assert ["data_dir_not_locked"] == [entry["event"] for entry in logs]
