"""What was predicted from the header, against what llama.cpp says and what the kernel counts."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage import ModelRecord
from hoshikage.core.gguf import read_header
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine
from hoshikage.plugins.engine_llamacpp.footprint import footprint
from hoshikage.plugins.engine_llamacpp.layout import Layout
from hoshikage.plugins.engine_llamacpp.machine import this_machine
from hoshikage.plugins.engine_llamacpp.measured import MeasuredNeeds
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from hoshikage.plugins.engine_llamacpp.shape import shape_of
from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.answers import ask, raw
from tests.plugins.engine_llamacpp.natives import init_of
from tests.plugins.engine_llamacpp.resident import resident_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hoshikage import LoadedModel, MemoryNeed

pytestmark = pytest.mark.model

MIB = 1 << 20
TOLERANCE = 0.10
ROUNDING = 3 * MIB // 100  # llama.cpp tells hundredths of a MiB, in at most three lines here
MACHINE = this_machine(has_nvidia=False)
CPU_ONLY = {"n_gpu_layers": 0, "n_threads": 1, "spare_workers": 0}


def predicted_of(file: Path, settings: LlamaCppSettings) -> MemoryNeed:
    return footprint(read_header(file), settings, MACHINE).need


# --- what llama.cpp says ---


@contextlib.contextmanager
def buffers_of(file: Path, options: dict[str, Any]) -> Iterator[Buffers]:
    """Load a model with its context in this process, as the worker does, and listen."""
    import llama_cpp

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog, NativeModel

    model = NativeModel(init_of(file, **options), NativeLog(lambda *_: None))
    try:
        yield model.buffers
    finally:
        model.close()
        llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))


SETTINGS = [
    {"n_ctx": 512},
    {"n_ctx": 8192, "n_batch": 512, "n_ubatch": 512},
    {"n_ctx": 2048, "cache_type_k": "q8_0", "cache_type_v": "q8_0", "n_batch": 512, "n_ubatch": 128},
    {"n_ctx": 2048, "flash_attention": "off", "max_num_seqs": 1, "max_cached_seqs": 0, "n_batch": 512, "n_ubatch": 512},
    {"n_ctx": 1000, "max_num_seqs": 64, "use_mmap": False},
]


@pytest.mark.parametrize("options", SETTINGS, ids=lambda o: f"{o['n_ctx']}-{len(o)}")
@pytest.mark.parametrize("path", ["smollm2_path", "gemma_path"])
def test_buffers_of_real_models_are_as_predicted(path, options, request):
    """Cache and copies to the byte, and what is reserved for computing within a tenth."""
    compare(request.getfixturevalue(path), options)


@pytest.mark.parametrize(
    "write", [tiny.write_llama, tiny.write_sliding_window, tiny.write_recurrent, tiny.write_hybrid]
)
def test_caches_of_other_kinds_of_models_are_as_predicted(write, tmp_path):
    """A running state, attention, or both in one model."""
    file = write(tmp_path / "tiny.gguf")
    options = {"n_ctx": 1024, "max_num_seqs": 3}
    with buffers_of(file, options) as buffers:
        told = buffers.context_bytes

    assert abs(told - predicted_of(file, settings_of(options)).context_bytes) <= ROUNDING


def settings_of(options: dict[str, Any]) -> LlamaCppSettings:
    """What `init_of` makes of them."""
    small = {"n_ctx": 512, "n_batch": 64, "n_ubatch": 64}
    return LlamaCppSettings(**{**small, **CPU_ONLY, **options})


def compare(file: Path, options: dict[str, Any]) -> None:
    settings = settings_of(options)
    header = read_header(file)
    found = footprint(header, settings, MACHINE)
    with buffers_of(file, options) as buffers:
        weights = found.weights_bytes if not settings.use_mmap else 0
        reserved = Layout(shape_of(header), settings, 0, has_gpu=False).reserved_bytes()

        assert abs(buffers.context_bytes - found.context_bytes) <= ROUNDING
        assert abs(buffers.repacked_bytes - found.repacked_bytes) <= ROUNDING
        assert abs(buffers.weights_bytes - weights) <= ROUNDING
        assert reserved == pytest.approx(buffers.compute_bytes, rel=TOLERANCE)


# --- what the kernel counts ---


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("smollm2_path", {"n_ctx": 512}),
        ("smollm2_path", {"n_ctx": 8192, "n_ubatch": 256}),
        ("smollm2_path", {"n_ctx": 2048, "max_num_seqs": 1, "max_cached_seqs": 0, "cache_type_k": "q8_0"}),
        ("gemma_path", {"n_ctx": 512, "n_ubatch": 128}),
        ("gemma_path", {"n_ctx": 4096, "max_num_seqs": 4, "max_cached_seqs": 12, "use_mmap": False}),
        ("gemma_path", {"n_ctx": 1024, "max_num_seqs": 32}),
    ],
    ids=str,
)
async def test_a_load_takes_what_was_predicted(path, options, request):
    """Once a worker has answered as many callers as it can at once, its resident memory is within a tenth of it."""
    file = request.getfixturevalue(path)
    settings = LlamaCppSettings(**CPU_ONLY, **options)
    model = await LlamaCppEngine(settings).load(ModelRecord("m", file))
    try:
        await work(model, settings)
        taken = resident_of([str(file)], model.pid)
    finally:
        await model.close()

    assert predicted_of(file, settings).ram_bytes == pytest.approx(taken.total_bytes, rel=TOLERANCE)


async def test_a_measured_need_holds_after_work(smollm2_path, tmp_path):
    """What the worker measures when it is ready is within a tenth of what it takes later, and is the next estimate."""
    settings = LlamaCppSettings(**CPU_ONLY, n_ctx=1024)
    record = ModelRecord("m", smollm2_path)
    engine = LlamaCppEngine(settings, measured=MeasuredNeeds(tmp_path / "footprints.json"))
    predicted = await engine.estimate(record)
    model = await engine.load(record)
    try:
        need = model.memory
        await work(model, settings)
        later = resident_of([str(smollm2_path)], model.pid)
    finally:
        await model.close()
        await engine.close()
    again = LlamaCppEngine(settings, measured=MeasuredNeeds(tmp_path / "footprints.json"))

    assert need.ram_bytes == pytest.approx(later.total_bytes, rel=TOLERANCE)
    assert (False, True, need) == (predicted.measured, need.measured, await again.estimate(record))


async def test_a_longer_context_is_measured_anew(smollm2_path):
    """After a resize the model takes what one that was loaded so long would take."""
    engine = LlamaCppEngine(LlamaCppSettings(**CPU_ONLY, n_ctx=512, max_num_seqs=4))
    model = await engine.load(ModelRecord("m", smollm2_path))
    try:
        before = model.memory
        await model.extend_context(2048)
        after = model.memory
    finally:
        await model.close()

    assert 4 * before.context_bytes == after.context_bytes
    assert after.ram_bytes == pytest.approx(
        (await engine.estimate(ModelRecord("m", smollm2_path), 2048)).ram_bytes, rel=0.1
    )


async def work(model: LoadedModel, settings: LlamaCppSettings) -> None:
    """A prompt of many tokens, then as many callers as are answered at once, long enough to be there together."""
    await ask(model, raw(" a" * 300, max_tokens=2))
    await asyncio.gather(*(ask(model, raw(f"{n} ", max_tokens=12)) for n in range(settings.max_num_seqs)))
