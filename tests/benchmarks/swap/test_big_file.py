"""The generated file."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.answers import Work
from benchmarks.contestants import Bare, Setup
from benchmarks.swap import big_file
from benchmarks.swap.big_file import NoRoom, Stopped, make, shape_of, weights
from benchmarks.swap.ground import Ground
from benchmarks.swap.rows.big_file import made

MIB = 2**20
VOCABULARY = 49152
LIMIT_S = 60.0


@pytest.mark.parametrize("size", [64 * MIB, 200 * MIB, 4096 * MIB, 16384 * MIB])
def test_the_shape_is_as_large_as_asked_for(size: int):
    """Never above it, and at most one layer below."""
    shape = shape_of(size, VOCABULARY)

    assert 0.8 * size < shape.size_bytes <= size


def test_a_file_that_is_too_small_still_has_a_layer():
    """Otherwise it would be no model."""
    assert 1 == shape_of(1, VOCABULARY).layers


def test_weights_are_random_and_of_the_usual_size():
    """None is infinite, no number, or zero; both signs are as frequent."""
    values = weights(np.random.default_rng(1), (100, 100)).astype(np.float64)

    assert 2**-6 <= abs(values).min() <= abs(values).max() < 2**-5
    assert 0.45 < (values > 0).mean() < 0.55
    assert len(np.unique(values)) > 9900


@pytest.mark.model
async def test_the_file_is_a_model_that_answers_with_text(smollm2_path: Path, tmp_path: Path):
    """llama.cpp loads it; it is as large as said, and made only once."""
    file, said = tmp_path / "deeper" / "big.gguf", list[str]()
    make(file, 60 * MIB, smollm2_path, threading.Event(), said.append)
    made = file.stat()
    written = made.st_ino, made.st_mtime_ns
    make(file, 60 * MIB, smollm2_path, threading.Event(), said.append)
    bare = Bare(Setup(file, tmp_path, n_ctx=512, n_parallel=1))
    await bare.start()
    (answer,) = await bare.answer([Work((("system", "Be kind."), ("user", "Hello")), 3)])
    await bare.stop()

    assert written == (file.stat().st_ino, file.stat().st_mtime_ns)
    assert 50 * MIB < made.st_size < 64 * MIB
    assert answer.text.isascii()
    assert answer.text.strip()
    assert [file] == list(file.parent.iterdir())


@pytest.mark.model
def test_an_interruption_leaves_nothing_behind(smollm2_path: Path, tmp_path: Path):
    """Several GiB that nobody knows of would be a bad surprise."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        make(tmp_path / "big.gguf", 60 * MIB, smollm2_path, stop, print)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.model
async def test_a_cancelled_run_waits_for_its_thread(
    smollm2_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else the thread would put the file there after everything was cleaned up."""
    loop, begun, file = asyncio.get_running_loop(), asyncio.Event(), tmp_path / "deeper" / "big.gguf"

    def observed(*arguments: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        make(*arguments)

    monkeypatch.setattr("benchmarks.swap.rows.big_file.make", observed)
    task = asyncio.create_task(made(Ground(smollm2_path, smollm2_path, file, 60 * MIB, None)))
    async with asyncio.timeout(LIMIT_S):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [] == list(file.parent.iterdir())


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With what can be done about it."""
    monkeypatch.setattr(big_file, "SPARE_DISK_BYTES", 2**60)
    with pytest.raises(NoRoom, match="--big-folder"):
        make(tmp_path / "big.gguf", 60 * MIB, tmp_path / "any.gguf", threading.Event(), print)

    assert [] == list(tmp_path.iterdir())
