"""The real model in a worker, and its vocabulary on this side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from hoshikage import ModelRecord
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from tests.plugins.engine_llamacpp.dequantised import write_f16

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from hoshikage import LoadedModel

N_CTX = 1024
SMALL_N_CTX = 256
# Several threads wait for each other at every layer: beside any other busy process they take ten times as long.
N_THREADS = 1


@pytest.fixture(scope="session")
def count_tokens(smollm2_path: Path) -> Callable[[str], list[int]]:
    """The tokens of a text, by the binding's own high-level tokenizer."""
    import llama_cpp

    vocabulary = llama_cpp.Llama(str(smollm2_path), vocab_only=True, verbose=False)
    return lambda text: list(vocabulary.tokenize(text.encode(), add_bos=False, special=True))


@pytest.fixture(scope="session")
def smollm2_f16(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model in 16 bits, where rounding is small enough for answers to be compared."""
    return write_f16(smollm2_path, tmp_path_factory.mktemp("f16") / "smollm2.gguf")


@pytest.fixture
def record(smollm2_path: Path) -> ModelRecord:
    """The model as the registry would hold it."""
    return ModelRecord("smollm2", smollm2_path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(smollm2_path: Path) -> AsyncIterator[LoadedModel]:
    """The model with room for eight, for tests that do not harm it."""
    settings = LlamaCppSettings(n_ctx=N_CTX, max_num_seqs=8, n_threads=N_THREADS, spare_workers=0)
    loaded = await LlamaCppEngine(settings).load(ModelRecord("smollm2", smollm2_path))
    yield loaded
    await loaded.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small_model(smollm2_path: Path) -> AsyncIterator[LoadedModel]:
    """The model with little room and small steps, so that callers meet its bounds."""
    settings = LlamaCppSettings(
        n_ctx=SMALL_N_CTX, n_batch=32, max_pause_s=0.05, max_num_seqs=6, n_threads=N_THREADS, spare_workers=0
    )
    loaded = await LlamaCppEngine(settings).load(ModelRecord("small", smollm2_path))
    yield loaded
    await loaded.close()
