"""What memory is planned by, with numbers that no model has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hoshikage.core.catalog import record_of
from hoshikage.core.errors import ModelFileError, ModelLoadFailed
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from tests.hostile import Whole, sizes
from tests.plugins.engine_llamacpp.tiny import write_llama

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 60.0  # they take milliseconds each
CONTEXTS = (0, 4096, 2**63)


async def complaint(engine: LlamaCppEngine, file: Path, context_length: int) -> str:
    """What is wrong with an estimate or a refusal."""
    try:
        need = await engine.estimate(record_of("hostile", file), context_length)
    except (ModelFileError, ModelLoadFailed) as error:
        return "" if str(file) in error.message else f"refused without the file: {error.message}"
    needed = (need.weights_bytes, need.context_bytes, need.other_bytes, need.vram_bytes)
    return "" if all(type(n) is int and n >= 0 for n in needed) else str(need)


async def test_hostile_sizes_have_an_estimate_or_a_refusal(tmp_path: Path):
    """Whatever the header says of layers, heads and context, the need is whole bytes, or the file is refused."""
    engine = LlamaCppEngine(LlamaCppSettings())
    whole = Whole.read(write_llama(tmp_path / "whole.bin"))
    file = tmp_path / "hostile.gguf"
    complaints = {}
    began = time.perf_counter()
    for case in sizes(whole):
        file.write_bytes(case.content)
        for context_length in CONTEXTS:
            if wrong := await complaint(engine, file, context_length):
                complaints[case.name, context_length] = wrong

    assert {} == complaints
    assert time.perf_counter() - began < LIMIT_S
