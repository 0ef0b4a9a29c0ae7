"""Pulled models answer: one in several files from the Hub's layout, and one with an adapter from a registry."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING

import gguf
import httpx
import pytest

from tests.file_server import FileServer, Served
from tests.oci_registry import OciRegistry, free_port
from tests.plugins.engine_llamacpp import tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server import ServerProcess

pytestmark = pytest.mark.model
LIMIT_S = 120.0
COMMIT = "c0ffee" + "0" * 34
TENSORS_IN_A_PART = 8


def pull(server: ServerProcess, name: str) -> None:
    answer = httpx.post(
        f"{server.url}/api/pull", json={"model": name, "stream": False, "insecure": True}, timeout=LIMIT_S
    )
    assert answer.json() == {"status": "success"}


def answer_of(server: ServerProcess, name: str) -> str:
    body = {"model": name, "prompt": "1 2 3", "raw": True, "stream": False}
    options = {"num_predict": 8, "temperature": 0, "seed": 1}
    answer = httpx.post(f"{server.url}/api/generate", json={**body, "options": options}, timeout=LIMIT_S)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["response"])


def test_a_model_in_parts_answers_as_the_whole_one(
    start_server: Callable[..., ServerProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Pulled part by part, it is loaded as one; deleted, it leaves nothing."""
    whole = tiny.write_llama(tmp_path / "whole-F32.gguf")
    with monkeypatch.context() as patch:
        patch.setattr(tiny.gguf, "GGUFWriter", functools.partial(gguf.GGUFWriter, split_max_tensors=TENSORS_IN_A_PART))
        tiny.write_llama(tmp_path / "parts-F16.gguf")
    files = {f.name: f.read_bytes() for f in [whole, *tmp_path.glob("parts-F16-*-of-*.gguf")]}
    rows = [
        {"rfilename": name, "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}}
        for name, content in files.items()
    ]
    with FileServer().serving() as hub:
        hub.pages["/api/models/org/tiny"] = Served(json.dumps({"sha": COMMIT, "siblings": rows}).encode())
        for name, content in files.items():
            hub.pages[f"/org/tiny/resolve/{COMMIT}/{name}"] = Served(content)
        server = start_server(HF_ENDPOINT=hub.url)
        names = ["hf.co/org/tiny:F32", "hf.co/org/tiny:F16"]
        for name in names:
            pull(server, name)
    answers = [answer_of(server, name) for name in names]
    for name in names:
        httpx.request("DELETE", f"{server.url}/api/delete", json={"model": name}, timeout=LIMIT_S).raise_for_status()

    assert len(files) > 2
    assert answers[0] == answers[1] != ""
    assert [list((server.data_dir / folder).iterdir()) for folder in ("blobs", "split")] == [[], []]


def test_a_model_with_an_adapter_answers_with_it(start_server: Callable[..., ServerProcess], tmp_path: Path):
    """The adapter that came with a model changes its answers, as it is meant to."""
    model = tiny.write_llama(tmp_path / "model.gguf").read_bytes()
    adapter = tiny.write_lora(tmp_path / "adapter.gguf").read_bytes()
    with OciRegistry(tmp_path, free_port()).running() as registry:
        registry.push("team/plain", [("model", model)])
        registry.push("team/tuned", [("model", model), ("adapter", adapter)])
        server = start_server(HOSHIKAGE_PULL__ALLOWED_HOSTS=json.dumps([registry.host]))
        names = [f"{registry.host}/team/{name}" for name in ("plain", "tuned")]
        for name in names:
            pull(server, name)
    plain, tuned = [answer_of(server, name) for name in names]

    assert plain != tuned
