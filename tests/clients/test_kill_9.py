"""`kill -9` of the server at random moments of staging, loading, saving and writing: nothing is lost."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.conftest import register
from tests.kills import kills
from tests.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.model

KILLS = kills(20, usual=4)
LONGEST_S = 1.5  # from the first request to the kill
GONE_LIMIT_S = 10.0
ANSWER_LIMIT_S = 60.0
PROMPT = "Tell me of " + ", ".join(f"the king number {n}" for n in range(40))


@pytest.fixture
def ram() -> Iterator[Path]:
    """A folder on a RAM disk of this test alone."""
    folder = Path(f"/dev/shm/hoshikage-test-{os.getpid()}")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def variables(ram: Path) -> dict[str, str]:
    """Staging and saving as often as can be."""
    return {
        "HOSHIKAGE_RAMDISK__ENABLED": "true",
        "HOSHIKAGE_RAMDISK__PATH": str(ram),
        "HOSHIKAGE_STATE__INTERVAL_S": "0.05",
        "HOSHIKAGE_LLAMACPP__N_CTX": "2048",
    }


def post(url: str, path: str, body: dict) -> httpx.Response:
    return httpx.post(f"{url}{path}", json=body, timeout=ANSWER_LIMIT_S, trust_env=False)


def chat(url: str) -> httpx.Response:
    body = {"model": "m", "prompt": PROMPT, "max_tokens": 4, "temperature": 0}
    return post(url, "/v1/completions", body)


def keep_copying(url: str, round_: int, acknowledged: list[str]) -> None:
    """Register one name after another, and take down which of them the server has confirmed."""
    with contextlib.suppress(httpx.HTTPError):
        for number in range(1000):
            name = f"copy-{round_}-{number}"
            if post(url, "/api/copy", {"source": "m", "destination": name}).status_code == 200:
                acknowledged.append(name)


def keep_moving(url: str) -> None:
    """Stage, load, ask, unload and unstage, as fast as it goes."""
    with contextlib.suppress(httpx.HTTPError):
        for _ in range(1000):
            post(url, "/v1/stage", {"model": "m"})
            chat(url)
            post(url, "/v1/unload", {"model": "m"})
            post(url, "/v1/unstage", {"model": "m"})


def until_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of the processes that are still there after a while."""
    _, alive = psutil.wait_procs(processes, GONE_LIMIT_S)
    return [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def is_left(file: Path) -> bool:
    """Whether it is a half file of a process that is gone; one that lives may be at it."""
    number = file.name.removeprefix(".").partition(".")[0]
    return file.name.endswith(".tmp") and not (number.isdigit() and psutil.pid_exists(int(number)))


def test_nothing_is_lost_at_random_kills(tmp_path: Path, ram: Path, variables: dict[str, str], smollm2_path: Path):
    """After each: no worker is left, names that were confirmed are there, no half copy or file is, and it answers."""
    chance = random.Random(20)
    acknowledged: list[str] = []
    register(tmp_path, "m", smollm2_path)
    for round_ in range(KILLS):
        server = ServerProcess(tmp_path, variables)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pool.submit(keep_copying, server.url, round_, acknowledged)
            pool.submit(keep_moving, server.url)
            time.sleep(chance.uniform(0.05, LONGEST_S))  # the moment of the kill is what is random
            workers = psutil.Process(server.process.pid).children(recursive=True)
            server.stop(signal.SIGKILL)

        assert [] == until_gone(workers)
        names = json.loads((tmp_path / "model_map.json").read_text()).keys()
        assert set() == {"m", *acknowledged} - names
    server = ServerProcess(tmp_path, variables)
    try:
        listed = {row["id"] for row in httpx.get(f"{server.url}/v1/models", trust_env=False).json()["data"]}
        answer = chat(server.url)
        errors = [line for line in server.lines if line.get("level") in {"error", "critical"}]
        temporary = [f for folder in (ram, tmp_path / "state") for f in folder.rglob("*") if f.name.endswith(".tmp")]
    finally:
        stopped = server.stop()

    assert set() == {"m", *acknowledged} - listed
    assert (200, 0) == (answer.status_code, stopped)
    assert ([], []) == (errors, temporary)
    assert len(acknowledged) > KILLS
