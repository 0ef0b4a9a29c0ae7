"""Models inside the test's own process: for what chooses their tokens, and for what makes vectors of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import embedders, init_of, native_model
from tests.plugins.engine_llamacpp.worker.dice import Dice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hoshikage.plugins.engine_llamacpp.worker.embedding import Embedder


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dice]:
    """A vocabulary with one token for each letter and each byte."""
    file = tiny.write_llama(tmp_path_factory.mktemp("letters") / "llama.gguf")
    with native_model(init_of(file)) as model:
        yield Dice(model)


@pytest.fixture(scope="module")
def words(smollm2_path: Path) -> Iterator[Dice]:
    """The vocabulary of SmolLM2."""
    with native_model(init_of(smollm2_path, n_ctx=2048, max_num_seqs=16)) as model:
        yield Dice(model)


@pytest.fixture
def open_embedder() -> Iterator[Callable[..., Embedder]]:
    """Load a model file and make its embedder."""
    with embedders() as open_:
        yield open_


@pytest.fixture
def bert(open_embedder, tmp_path) -> Embedder:
    """An encoder that takes up to 512 tokens, 64 in one step."""
    return open_embedder(tiny.write_bert(tmp_path / "bert.gguf"))
