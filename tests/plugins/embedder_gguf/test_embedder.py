"""The embedder over a whole kernel: the echo engine for its ways, and a real model for what its vectors are worth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hoshikage import Caller, Owner
from hoshikage.core.errors import EmbedderFailed
from hoshikage.core.kernel import Kernel, assemble
from hoshikage.plugins.embedder_gguf.embedder import GgufEmbedder
from hoshikage.plugins.embedder_gguf.settings import GgufEmbedderSettings
from tests.fakes import until

ECHO_DIMENSIONS = 64


@pytest.fixture
async def kernel_of(tmp_path):
    """Builds a started kernel with two echo models beside `echo`; all are stopped at the end."""
    kernels: list[Kernel] = []

    async def build(*, models: dict[str, dict[str, str]] | None = None, **variables: str) -> Kernel:
        entries = models or {name: {"engine": "echo"} for name in ("nomic-embed-text", "chat")}
        for entry in entries.values():
            if "path" not in entry:
                (tmp_path / "none.gguf").touch()
                entry |= {"path": str(tmp_path), "model": "none.gguf"}
        (tmp_path / "model_map.json").write_text(json.dumps(entries))
        environ = {
            "HOSHIKAGE_PROJECT_DIR": str(tmp_path),
            "HOSHIKAGE_DATA_DIR": str(tmp_path),
            "HOSHIKAGE_RAMDISK__ENABLED": "false",
            "HOSHIKAGE_LLAMACPP__SPARE_WORKERS": "0",
            "HOSHIKAGE_LLAMACPP__N_THREADS": "1",  # several wait for each other beside other tests
        }
        kernels.append(Kernel(assemble({**environ, **variables})))
        await kernels[-1].start()
        return kernels[-1]

    yield build
    for kernel in kernels:
        await kernel.stop()


def embedder_of(kernel: Kernel, model: str = "echo", **settings: object) -> GgufEmbedder:
    return GgufEmbedder(GgufEmbedderSettings(model, **settings), kernel)


async def test_vectors_come_from_a_served_model(kernel_of):
    """Those of its own route, behind the prefix of each kind; with a receipt that no client sees."""
    kernel = await kernel_of()
    embedder = embedder_of(kernel, "nomic-embed-text")
    await embedder.start()
    documents = await embedder.embed(["cat", "\ud800", "", "long " * 10_000], "document")
    (query,) = await embedder.embed(["cat"], "query")

    assert (4, embedder.dimensions, ECHO_DIMENSIONS) == (len(documents), documents.shape[1], embedder.dimensions)
    assert np.allclose(1, np.linalg.norm(documents, axis=1), atol=1e-4)
    assert not np.allclose(documents[0], query, atol=1e-2)
    assert all(part in embedder.identity for part in ("nomic-embed-text", "'search_query: '", "'search_document: '"))
    assert {"hoshikage memory"} == {receipt.caller.key for receipt in kernel.receipts()}
    assert 0 < embedder.related_from < 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, "'search_query: ' 'search_document: '"), ({"query_prefix": "", "document_prefix": "D: "}, "'' 'D: '")],
)
async def test_prefixes_can_be_set(kernel_of, settings, expected):
    """Also to nothing; they are part of what the vectors are."""
    embedder = embedder_of(await kernel_of(), "nomic-embed-text", **settings)
    await embedder.start()

    assert expected in embedder.identity


@pytest.mark.parametrize(("model", "expected"), [("", "names no model"), ("nobody", "'nobody' cannot be used")])
async def test_what_is_missing_is_told(kernel_of, model, expected):
    """With the setting; it is never taken unasked."""
    embedder = embedder_of(await kernel_of(), model)
    with pytest.raises(EmbedderFailed, match=expected):
        await embedder.embed(["cat"], "query")

    assert not embedder.at_hand()


async def test_no_model_leaves_for_it(kernel_of):
    """Somebody chats with the one that is loaded; memory goes on once there is room."""
    kernel = await kernel_of(HOSHIKAGE_RESIDENCY__MAX_LOADED="1")
    await kernel.load("chat", keep_alive_s=None, caller=Caller())
    embedder = embedder_of(kernel)
    with pytest.raises(EmbedderFailed, match="chat would have to leave for it; memory waits"):
        await embedder.embed(["cat"], "query")
    still = [view.record.name for view in kernel.status().loaded]
    await kernel.unload("chat")
    await until(lambda: not kernel.status().loaded)
    found = await embedder.embed(["cat"], "query")

    assert (["chat"], (1, ECHO_DIMENSIONS)) == (still, found.shape)


async def test_a_model_that_was_replaced_is_refused(kernel_of, tmp_path):
    """Its vectors would be mixed with those of the one before."""
    kernel = await kernel_of()
    embedder = embedder_of(kernel, "chat")
    await embedder.embed(["cat"], "query")
    (tmp_path / "none.gguf").write_bytes(b"another one")

    with pytest.raises(EmbedderFailed, match="another one than at the start"):
        await embedder.embed(["cat"], "query")


async def test_other_files_are_another_model(kernel_of, tmp_path):
    """Under the same name: after a new start everything is embedded again."""
    kernel = await kernel_of()
    first, second = embedder_of(kernel, "chat"), embedder_of(kernel, "chat")
    await first.start()
    (tmp_path / "none.gguf").write_bytes(b"another one")
    await second.start()

    assert first.identity != second.identity


async def test_memory_uses_it_by_name(kernel_of):
    """From the settings to the stats: every memory has its vector."""
    kernel = await kernel_of(HOSHIKAGE_MEMORY__EMBEDDER="gguf", HOSHIKAGE_EMBEDDER_GGUF__MODEL="echo")
    owner = Owner("k")
    assert kernel.memory is not None
    await kernel.memory.add(owner, "My cat is called Mikan.")
    embedding = kernel.memory._embedding
    await until(lambda: embedding.ready)
    await kernel.memory._write(lambda _: None)  # the vector is written after that
    stats = await kernel.memory.stats(owner)
    found = await kernel.memory.search(owner, "my cat", limit=1)

    assert (1, True) == (stats.embedded, stats.embedder.startswith("gguf echo"))
    assert "cosine" in found[0].why


async def test_a_question_does_not_wait_for_a_load(kernel_of):
    """The model was unloaded meanwhile: words alone this time, and the load goes on for the next question."""
    variables = {"HOSHIKAGE_MEMORY__EMBEDDER": "gguf", "HOSHIKAGE_EMBEDDER_GGUF__MODEL": "chat"}
    kernel = await kernel_of(HOSHIKAGE_ECHO__LOAD_DELAY_S="0.3", **variables)
    embedding = kernel.memory._embedding
    await embedding.vector_of(Owner("k"), "first", limit_s=None)
    await kernel.unload("chat")
    await until(lambda: not kernel.status().loaded)
    in_time = await embedding.vector_of(Owner("k"), "second", limit_s=0.05)
    await until(lambda: [view.state for view in kernel.status().loaded] == ["ready"])

    assert in_time is None
    assert await embedding.vector_of(Owner("k"), "third", limit_s=1.0) is not None


@pytest.mark.model
async def test_a_real_model_knows_what_is_meant(kernel_of, smollm2_path: Path):
    """SmolLM2, which was made for writing: the nearest of three is still the right one. Takes the start of a worker."""
    entry = {"path": str(smollm2_path.parent), "model": smollm2_path.name}
    embedder = embedder_of(await kernel_of(models={"small": entry}), "small")
    facts = ["A kitten rests on a rug.", "The stock market fell by five percent.", "He repaired the engine of his car."]
    found = await embedder.embed(facts, "document")
    (asked,) = await embedder.embed(["A cat sleeps on the mat."], "query")

    assert (3, embedder.dimensions) == found.shape
    assert 0 == int(np.argmax(found @ asked))
    assert 0 < embedder.related_from < 1
