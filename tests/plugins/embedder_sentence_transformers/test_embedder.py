"""The embedder on tiny models of both shapes that ruri has, in one real process: starting it takes seconds."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hoshikage.core.embedding.process import EmbedderProcess
from hoshikage.core.errors import EmbedderFailed
from hoshikage.plugins.embedder_sentence_transformers.embedder import SentenceTransformers
from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings
from tests.plugins.embedder_sentence_transformers import tiny

# Only looked for: importing it takes seconds, in every process that collects tests, and the embedder has its own.
pytestmark = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="the extra `memory` is not installed"
)

FAST_S = 2.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The process that all embedders here share, and the folders of the two models that it has written."""
    process, folder = EmbedderProcess("sentence-transformers"), tmp_path_factory.mktemp("models")

    async def write() -> dict[str, Path]:
        v2 = await process.run(tiny.write_wordpiece, str(folder / "ruri-tiny-v2"))
        v3 = await process.run(tiny.write_sentencepiece, str(folder / "ruri-v3-tiny"))
        return {"v2": Path(v2), "v3": Path(v3)}

    yield process, asyncio.run(write())
    asyncio.run(process.close())


@pytest.fixture
def embedder_of(shared, tmp_path):
    """Builds an embedder for a folder or a name of the Hub, whose cache is empty."""

    def build(model: str | Path, **settings: object) -> SentenceTransformers:
        section = SentenceTransformersSettings(str(model), **settings)
        found = SentenceTransformers(section, tmp_path / str(model), tmp_path / "hub")
        found._process = shared[0]
        return found

    return build


@pytest.mark.parametrize(
    ("shape", "prefixes", "tokens"),
    [("v2", ("クエリ: ", "文章: "), 512), ("v3", ("検索クエリ: ", "検索文書: "), 1024)],
)
async def test_both_shapes_make_vectors(shared, embedder_of, shape, prefixes, tokens):
    """Of length 1, the same again, with the prefixes and the length of their generation."""
    embedder = embedder_of(shared[1][shape])
    await embedder.start()
    found = await embedder.embed(["猫の名前", "犬", "", "\ud800", "cat " * 300], "document")
    again = await embedder.embed(["犬"], "document")
    asked = await embedder.embed(["犬"], "query")

    assert (True, (5, tiny.DIM)) == (embedder.at_hand(), found.shape)
    assert (tiny.DIM, np.float32) == (embedder.dimensions, found.dtype)
    assert np.allclose(1, np.linalg.norm(found, axis=1), atol=1e-4)
    assert np.allclose(found[1], again[0], atol=1e-5)
    assert not np.allclose(again, asked, atol=1e-3)
    assert all(part in embedder.identity for part in (*prefixes, f"{tokens} tokens", shape))


async def test_the_scale_of_cosines_is_measured(shared, embedder_of):
    """Models with random weights find everything alike; the threshold lies above that."""
    embedder = embedder_of(shared[1]["v3"])
    await embedder.embed(["x"], "query")

    assert 0.5 < embedder.related_from <= 0.98


async def test_no_more_is_read_than_the_settings_say(shared, embedder_of):
    """What comes after so many tokens changes nothing."""
    embedder = embedder_of(shared[1]["v3"], max_tokens=16)
    short, long = await embedder.embed(["猫 " * 100, "猫 " * 50 + "犬 " * 5000], "document")

    assert np.allclose(short, long, atol=1e-5)


async def test_a_model_of_the_hubs_cache_is_found_by_its_name(shared, embedder_of, tmp_path):
    """Where it was fetched before; its vectors are those of the same files in a folder."""
    cached = tmp_path / "hub/models--someone--ruri-tiny-v2"
    shutil.copytree(shared[1]["v2"], cached / "snapshots/abc")
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("abc")
    by_name, by_path = embedder_of("someone/ruri-tiny-v2"), embedder_of(shared[1]["v2"])
    await by_name.start()
    await by_path.start()

    assert (True, by_path.identity) == (by_name.at_hand(), by_name.identity)


async def test_a_missing_model_fails_at_once(embedder_of):
    """Nothing is asked of the network, and the message says what to do."""
    embedder, started = embedder_of("cl-nagoya/ruri-small-v2"), time.monotonic()
    with pytest.raises(EmbedderFailed, match="allow_download = true"):
        await embedder.embed(["x"], "query")

    assert not embedder.at_hand()
    assert time.monotonic() - started < FAST_S


@pytest.mark.parametrize("missing", ["vocab.txt", "model.safetensors", "config.json"])
async def test_half_a_model_fails_at_once(shared, embedder_of, tmp_path, missing):
    """The library would ask the network for what is missing, or do without."""
    shutil.copytree(shared[1]["v2"], tmp_path / "half", ignore=shutil.ignore_patterns(missing))
    embedder, started = embedder_of("half"), time.monotonic()
    with pytest.raises(EmbedderFailed, match="not all of it"):
        await embedder.embed(["x"], "query")

    assert time.monotonic() - started < FAST_S


async def test_damaged_weights_are_told(shared, embedder_of, tmp_path):
    """With the reason; nothing is asked of the network."""
    shutil.copytree(shared[1]["v2"], tmp_path / "damaged")
    (tmp_path / "damaged/model.safetensors").write_bytes(b"no weights")
    embedder, started = embedder_of("damaged"), time.monotonic()
    with pytest.raises(EmbedderFailed, match=r"'sentence-transformers' failed: .*header"):
        await embedder.embed(["x"], "query")

    assert time.monotonic() - started < FAST_S


async def test_code_of_a_model_runs_only_where_it_is_trusted(shared, embedder_of, tmp_path):
    """As ruri v2 has it: a tokenizer of its own in a Python file. Untrusted, it is not taken unasked either."""
    folder = tmp_path / "ruri-coded"
    shutil.copytree(shared[1]["v2"], folder)
    (folder / "own.py").write_text(
        "from transformers import BertJapaneseTokenizer\nclass Own(BertJapaneseTokenizer):\n    pass\n"
    )
    said = json.loads((folder / "tokenizer_config.json").read_text())
    said |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    distrusted, trusted = embedder_of("ruri-coded"), embedder_of("ruri-coded", trust_remote_code=True)
    with pytest.raises(EmbedderFailed, match="trust_remote_code = true if you trust"):
        await distrusted.embed(["猫"], "query")
    (expected,) = await embedder_of(shared[1]["v2"]).embed(["猫"], "query")
    (found,) = await trusted.embed(["猫"], "query")

    assert (False, True) == (distrusted.at_hand(), trusted.at_hand())
    assert np.allclose(expected, found, atol=1e-4)


async def test_another_embedder_can_follow_in_the_same_process(shared, embedder_of):
    """What was loaded before is not taken for it."""
    first, second = embedder_of(shared[1]["v2"]), embedder_of(shared[1]["v3"])
    (one,) = await first.embed(["猫"], "query")
    (two,) = await second.embed(["猫"], "query")

    assert not np.allclose(one, two, atol=1e-2)
