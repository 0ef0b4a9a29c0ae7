"""Hostile model files under a running server: each request is answered, and the server stays as it was."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.hostile import Case, Whole, cases, shapes, sizes, truncations
from tests.plugins.engine_llamacpp.tiny import CHATML, write_llama
from tests.server import ServerProcess, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.model

SEED = 5
LIMIT_S = 60.0
GROWTH_BYTES = 96 << 20  # 60 loads were seen to add 18 MiB, once
# These pass our reader, and each ends in another place of llama.cpp: an assertion, an exception, a failed allocation.
LOADED = (
    "llama.block_count 0",
    "llama.block_count 4294967295",
    "llama.context_length 9223372036854775808",
    "llama.context_length 2147483648",
    "llama.embedding_length 4294967295",
    "llama.attention.head_count 0",
    "llama.attention.head_count 4294967295",
    "llama.attention.head_count_kv 4294967295",
    "llama.attention.key_length 4294967295",
    "llama.expert_count 4294967295",
    "llama.attention.head_count_kv a list",
)
# Adds many files in one process: a command takes a second to start.
ADD_ALL = """
import json, sys
from hoshikage.core.cli import build_cli
from hoshikage.core.errors import HoshikageError
said = {}
for file in sys.argv[1:]:
    try:
        build_cli()(["add", file, "added-" + file.rpartition("/")[2]], standalone_mode=False)
    except HoshikageError as error:
        said[file] = error.message
print(json.dumps(said))
"""


def chosen(whole: Whole) -> list[Case]:
    """Sixty of all kinds."""
    dice = (c for c in cases(whole, seed=SEED) if c.name.split()[0] in {"flipped", "overwritten", "noise"})
    loaded = {c.name: c for c in sizes(whole)}
    return [
        *itertools.islice(truncations(whole), 1, None, 8),
        *itertools.islice(shapes(whole), 0, None, 3),
        *itertools.islice(dice, 8),
        *(loaded[name] for name in LOADED),
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Case]:
    """The cases as files."""
    folder = tmp_path_factory.mktemp("hostile")
    whole = Whole.read(write_llama(folder / "whole.bin", chat_template=CHATML))
    found = {folder / f"hostile-{n}.gguf": case for n, case in enumerate(chosen(whole))}
    for file, case in found.items():
        file.write_bytes(case.content)
    return found


@pytest.fixture(scope="module")
def server(files: dict[Path, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with all of them registered, and with the whole file."""
    folder = tmp_path_factory.mktemp("server")
    entries = {f.stem: {"path": str(f.parent), "model": f.name} for f in files}
    entries["whole"] = {"path": str(next(iter(files)).parent), "model": "whole.bin"}
    (folder / "model_map.json").write_text(json.dumps(entries))
    running = ServerProcess(folder)
    yield running
    running.stop()


def ask(server: ServerProcess, path: str, model: str) -> httpx.Response:
    body: dict[str, Any] = {"model": model, "stream": False, "options": {"num_predict": 2}}
    if path == "/api/chat":
        body["messages"] = [{"role": "user", "content": "hi"}]
    return httpx.post(f"{server.url}{path}", json=body, timeout=LIMIT_S)


def complaint(answer: httpx.Response, file: Path) -> str:
    """What is wrong with an answer; an error must have Ollama's shape and say which model's file it is about."""
    body = answer.json()
    if answer.status_code == 200:
        return "" if "error" not in body else f"200 with {body}"
    message = body.get("error")
    if list(body) != ["error"] or not isinstance(message, str) or "\n" in message:
        return f"{answer.status_code} with {body}"
    if str(file) not in message:
        return f"{answer.status_code} without the file: {message}"
    return ""


def test_every_hostile_file_is_answered_and_the_server_lives(server: ServerProcess, files: dict[Path, Case]):
    """Showing a hostile model and talking to it ends in an error that names it, or works; memory stays bounded."""
    process = psutil.Process(server.process.pid)
    assert 200 == ask(server, "/api/chat", "whole").status_code
    before = process.memory_info().rss
    complaints, statuses = {}, set()
    for file, case in files.items():
        for path in ("/api/show", "/api/chat"):
            answer = ask(server, path, file.stem)
            statuses.add((path, answer.status_code))
            if wrong := complaint(answer, file):
                complaints[case.name, path] = wrong
        assert server.process.poll() is None, case.name

    assert {} == complaints
    assert ("/api/show", 400) in statuses
    assert ("/api/chat", 500) in statuses
    assert process.memory_info().rss - before < GROWTH_BYTES
    assert 200 == ask(server, "/api/chat", "whole").status_code


def test_every_hostile_file_is_added_or_refused_by_name(files: dict[Path, Case], tmp_path: Path):
    """`hoshikage add` refuses a hostile file with its name, and takes only what the reader takes."""
    done = subprocess.run(
        [sys.executable, "-c", ADD_ALL, *map(str, files)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert len(files) / 2 < len(said) < len(files)
    assert [] == [message for file, message in said.items() if file not in message or "\n" in message]
    assert len(files) - len(said) == len(json.loads((tmp_path / "model_map.json").read_text()))
