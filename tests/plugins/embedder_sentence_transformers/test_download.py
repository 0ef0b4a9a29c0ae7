"""Fetching a model from the Hub, where the settings allow it; without torch."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from hoshikage.core.errors import EmbedderFailed
from hoshikage.plugins.embedder_sentence_transformers.embedder import SentenceTransformers
from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings
from tests.file_server import FileServer, Served

REPO = "someone/ruri-tiny"
COMMIT = "c" * 40
FILES = {
    "config.json": b'{"hidden_size": 8}',
    "vocab.txt": b"a\n",
    "model.safetensors": b"weights",
    "onnx/model.onnx": b"other weights",
}
PAUSE_S = 0.02
LIMIT_S = 20.0


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with one model; the embedder's process looks there, and keeps what it fetches in the test's folder."""
    with FileServer().serving() as server:
        rows = [{"rfilename": name, "size": len(content)} for name, content in FILES.items()]
        listing = {"_id": "1", "id": REPO, "sha": COMMIT, "siblings": rows, "private": False}
        server.pages[f"/api/models/{REPO}/revision/main"] = Served(json.dumps(listing).encode())
        tree = [{"type": "file", "path": row["rfilename"], "oid": "a" * 40, "size": row["size"]} for row in rows]
        server.pages[f"/api/models/{REPO}/tree/{COMMIT}"] = Served(json.dumps(tree).encode())
        for name, content in FILES.items():
            headers = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}
            server.pages[f"/{REPO}/resolve/{COMMIT}/{name}"] = Served(content, headers=headers)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield server


@pytest.fixture
async def embedder(tmp_path: Path):
    section = SentenceTransformersSettings(REPO, allow_download=True)
    found = SentenceTransformers(section, tmp_path / REPO, tmp_path / "hub")
    yield found
    await found.close()


async def fetched(embedder: SentenceTransformers) -> list[str]:
    """Ask again and again, as the store does, until it has started or failed. Returns what was said meanwhile."""
    said: list[str] = []
    async with asyncio.timeout(LIMIT_S):
        while not embedder.identity and (not said or "being fetched" in said[-1]):
            try:
                await embedder.start()
            except EmbedderFailed as error:
                said.append(error.message)
                await asyncio.sleep(PAUSE_S)
    return said


async def test_a_model_is_fetched_once(hub, embedder):
    """Nobody waits for it; copies of the weights in other formats stay where they are."""
    said = await fetched(embedder)
    asked = len(hub.asked)
    await embedder.start()

    assert {f"the model {REPO!r} is being fetched from the Hub"} == set(said)
    assert (True, 8, asked) == (embedder.at_hand(), embedder.dimensions, len(hub.asked))
    assert [] == hub.asked_for(f"/{REPO}/resolve/{COMMIT}/onnx/model.onnx")


async def test_a_hub_that_does_not_have_it_is_told(hub, embedder):
    """With its words; the next start tries again."""
    hub.pages.clear()
    said = await fetched(embedder)

    assert "failed" in said[-1]
    assert REPO in said[-1]


async def test_closing_ends_a_download(hub, embedder):
    """However long it would still take."""
    page = hub.pages[f"/{REPO}/resolve/{COMMIT}/model.safetensors"]
    page.hold_after = 3
    with pytest.raises(EmbedderFailed, match="being fetched"):
        await embedder.start()
    assert await asyncio.to_thread(hub.holding.wait, LIMIT_S)
    started = time.monotonic()
    await embedder.close()

    assert time.monotonic() - started < 2.0
