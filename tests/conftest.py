"""Fixtures that tests of several folders share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
GEMMA_FILE = "gemma-3-270m-q4_k_m.gguf"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

# How long one case takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The real small model; `make model` brings it."""
    file = Path(os.environ.get("HOSHIKAGE_TEST_MODEL") or ROOT / "models" / MODEL_FILE)
    if not file.is_file():
        pytest.fail(f"{file} is missing: run `make model`, or leave these tests out with -m 'not model'")
    return file


@pytest.fixture(scope="session")
def gemma_path() -> Path:
    """A real model with a sliding window; `make models` brings it."""
    file = ROOT / "models" / GEMMA_FILE
    if not file.is_file():
        pytest.fail(f"{file} is missing: run `make models`, or leave these tests out with -m 'not model'")
    return file


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers with given variables; all are stopped at the end of the test."""
    started: list[ServerProcess] = []

    def start(data_dir: Path | None = None, **variables: str) -> ServerProcess:
        folder = data_dir or tmp_path / f"server{len(started)}"
        folder.mkdir(exist_ok=True)
        started.append(ServerProcess(folder, variables))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the echo engine alone, shared by all tests that do not change it."""
    server = ServerProcess(tmp_path_factory.mktemp("echo"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory, smollm2_path: Path) -> Iterator[ServerProcess]:
    """A server with SmolLM2 registered as `smollm2`, shared by all tests that do not harm it."""
    folder = tmp_path_factory.mktemp("smollm2")
    register(folder, "smollm2", smollm2_path)
    server = ServerProcess(folder)
    yield server
    server.stop()


def register(data_dir: Path, name: str, file: Path) -> None:
    """Write a model map as the predecessor wrote it."""
    import json

    entry = {"path": str(file.parent), "model": file.name, "stop": ["<|im_end|>"]}
    (data_dir / "model_map.json").write_text(json.dumps({name: entry}))
