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
from hoshikage.plugins.engine_llamacpp.footprint import corrected, footprint
from hoshikage.plugins.engine_llamacpp.layout import Layout
from hoshikage.plugins.engine_llamacpp.machine import this_machine
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from hoshikage.plugins.engine_llamacpp.shape import shape_of
from hoshikage.plugins.engine_llamacpp.usage import Usage
from hoshikage.plugins.engine_llamacpp.worker.buffers import Buffers
from hoshikage.plugins.engine_llamacpp.worker.measuring import resident_of
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.answers import ask, raw
from tests.plugins.engine_llamacpp.natives import init_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hoshikage import LoadedModel, MemoryNeed

pytestmark = pytest.mark.model

MIB = 1 << 20
TOLERANCE = 0.10
ROUNDING = 3 * MIB // 100  # llama.cpp tells hundredths of a MiB, in at most three lines here
MACHINE = this_machine(has_nvidia=False)
CPU_ONLY = {"n_gpu_layers": 0, "n_threads": 1}


def predicted_of(file: Path, settings: LlamaCppSettings) -> MemoryNeed:
    return footprint(read_header(file), settings, MACHINE).need


# --- what llama.cpp says ---


@contextlib.contextmanager
def buffers_of(file: Path, options: dict[str, Any]) -> Iterator[Buffers]:
    """Load a model with its context in this process, as the worker does, and listen."""
    import llama_cpp

    from hoshikage.plugins.engine_llamacpp.worker.native import NativeLog, NativeModel

    buffers = Buffers()

    class Listening(NativeLog):
        def _receive(self, level: int, text: bytes, user_data: Any) -> None:
            buffers.read(text.decode())
            super()._receive(level, text, user_data)

    log = Listening(lambda *_: None)
    model = NativeModel(init_of(file, **options), log)
    try:
        yield buffers
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


async def test_a_measured_need_holds_after_work(smollm2_path):
    """What the worker can measure when it is ready tells within a tenth what it takes later."""
    settings = LlamaCppSettings(**CPU_ONLY, n_ctx=1024)
    with buffers_of(smollm2_path, {"n_ctx": 1024, "n_batch": 512, "n_ubatch": 512}) as buffers:
        context, compute = buffers.context_bytes, buffers.compute_bytes
    model = await LlamaCppEngine(settings).load(ModelRecord("m", smollm2_path))
    try:
        ready = resident_of([str(smollm2_path)], model.pid)
        await work(model, settings)
        later = resident_of([str(smollm2_path)], model.pid)
    finally:
        await model.close()
    usage = Usage(ready.mapped_bytes, ready.anonymous_bytes, ready.library_bytes, 0, context, compute)
    need = corrected(footprint(read_header(smollm2_path), settings, MACHINE), usage, n_ubatch=settings.n_ubatch)

    assert need.ram_bytes == pytest.approx(later.total_bytes, rel=TOLERANCE)


async def work(model: LoadedModel, settings: LlamaCppSettings) -> None:
    """A prompt of many tokens, then as many callers as are answered at once, long enough to be there together."""
    await ask(model, raw(" a" * 300, max_tokens=2))
    await asyncio.gather(*(ask(model, raw(f"{n} ", max_tokens=12)) for n in range(settings.max_num_seqs)))
