"""A split model in the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hoshikage import ModelRecord
from hoshikage.core.catalog import record_of
from hoshikage.core.errors import ModelLoadFailed
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from tests.core.gguf.splitting import split
from tests.plugins.engine_llamacpp.answers import ask, chat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.model

TENSORS_A_PART = 100  # SmolLM2 has 272


@pytest.fixture(scope="module")
def parts(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """SmolLM2 in three parts."""
    folder = tmp_path_factory.mktemp("split")
    return split(smollm2_path, folder, prefix="smollm2", max_tensors=TENSORS_A_PART)


async def answer_of(record: ModelRecord) -> str:
    loaded = await LlamaCppEngine(LlamaCppSettings(n_ctx=256, n_threads=1, spare_workers=0)).load(record)
    try:
        return (await ask(loaded, chat("Count to five.", max_tokens=20))).text
    finally:
        await loaded.close()


async def test_split_model_answers_like_the_whole(parts, smollm2_path):
    """The greedy answer is the same, word for word, and so are the facts."""
    engine = LlamaCppEngine(LlamaCppSettings())
    record = record_of("split", parts[0])
    whole = await engine.facts(ModelRecord("whole", smollm2_path))
    found = await engine.facts(record)

    assert 3 == len(parts)
    assert (whole.parameter_count, whole.quantization) == (found.parameter_count, found.quantization)
    text = await answer_of(ModelRecord("whole", smollm2_path))
    assert text
    assert text == await answer_of(record)


async def test_incomplete_split_model_does_not_reach_the_engine(parts, tmp_path):
    """A part that is missing is named before anything native is started."""
    here = tmp_path / parts[0].name
    here.symlink_to(parts[0])

    with pytest.raises(ModelLoadFailed, match=r"smollm2-00002-of-00003\.gguf does not exist"):
        await answer_of(record_of("split", here))
