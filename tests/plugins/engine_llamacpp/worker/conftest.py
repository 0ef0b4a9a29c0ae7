"""Models inside the test's own process, for what chooses their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import init_of, native_model
from tests.plugins.engine_llamacpp.worker.dice import Dice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
