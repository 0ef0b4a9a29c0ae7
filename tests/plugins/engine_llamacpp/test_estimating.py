"""Estimates of models that lie on a disk, before and after they were loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoshikage import MemoryNeed, ModelRecord
from hoshikage.core.errors import ModelFileError
from hoshikage.core.vram import GpuMemory
from hoshikage.plugins.engine_llamacpp import estimating
from hoshikage.plugins.engine_llamacpp.engine import init_frame
from hoshikage.plugins.engine_llamacpp.estimating import Estimator
from hoshikage.plugins.engine_llamacpp.measured import MeasuredNeeds
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings
from tests.plugins.engine_llamacpp import tiny

NEED = MemoryNeed(1, 2, 3, 0)
CACHE = 2 * (32 + 32) * 2  # bytes of a cell of the tiny Llama
SETTINGS = LlamaCppSettings(n_ctx=512)


@pytest.fixture
def record(tmp_path) -> ModelRecord:
    """A tiny model."""
    return ModelRecord("m", tiny.write_llama(tmp_path / "m.gguf"), digest="d" * 64)


@pytest.fixture
def estimator(tmp_path) -> Estimator:
    """One that remembers, on a machine without a card."""
    return Estimator(MeasuredNeeds(tmp_path / "footprints.json"), gpus=tuple)


def init_of(record: ModelRecord, **options: object):
    return init_frame(replace(record, options=options), SETTINGS)


def test_an_unknown_model_is_predicted_from_its_header(estimator, record):
    """The context is that of the settings, or what is asked for."""
    init = init_of(record)
    need = estimator.estimate(record, init)

    assert (512 * CACHE, False) == (need.context_bytes, need.measured)
    assert 1024 * CACHE == estimator.estimate(record, init, 1024).context_bytes
    assert need == estimator.predict(init).need


def test_what_was_measured_wins(estimator, record):
    """After a load, the same load is known; another length of context is not."""
    estimator.remember(record, init_of(record), NEED)

    assert replace(NEED, measured=True) == estimator.estimate(record, init_of(record), 512)
    assert not estimator.estimate(record, init_of(record), 1024).measured
    assert not estimator.estimate(record, init_of(record, n_ubatch=64)).measured


def test_without_a_memory_every_estimate_is_a_prediction(record):
    """An engine that was given no data directory predicts anew."""
    estimator = Estimator(gpus=tuple)
    estimator.remember(record, init_of(record), NEED)

    assert not estimator.estimate(record, init_of(record)).measured


def test_a_header_is_read_once_for_each_version_of_its_file(estimator, record, monkeypatch):
    """Estimates come often, and a big vocabulary takes tens of milliseconds."""
    reads: list[object] = []
    read = estimating.read_header
    monkeypatch.setattr(estimating, "read_header", lambda file: reads.append(file) or read(file))
    for _ in range(3):
        estimator.predict(init_of(record))
    tiny.write_sliding_window(record.file)
    estimator.predict(init_of(record))

    assert 2 == len(reads)


def test_a_draft_model_and_adapters_are_counted(estimator, record, tmp_path):
    """The options of a model name files beside it."""
    alone = estimator.predict(init_of(record))
    draft = tiny.write_draft(tmp_path / "draft.gguf")
    adapter = tiny.write_lora(tmp_path / "lora.gguf")
    drafted = estimator.predict(init_of(record, draft_model=draft.name))
    adapted = estimator.predict(init_of(record, adapters={"a": adapter.name}))

    assert 2 * alone.context_bytes == drafted.context_bytes
    assert adapter.stat().st_size == adapted.process_bytes - alone.process_bytes


def test_a_split_model_counts_as_one(estimator, record, tmp_path):
    """All parts together take what one file would; a part that is missing is named."""
    whole = record.file.read_bytes()
    for number in (1, 2):
        (tmp_path / f"s-0000{number}-of-00002.gguf").write_bytes(whole)
    split = ModelRecord("s", tmp_path / "s-00001-of-00002.gguf")
    one, both = estimator.predict(init_of(record)), estimator.predict(init_of(split))
    (tmp_path / "s-00002-of-00002.gguf").unlink()

    assert both.weights_bytes >= 2 * one.weights_bytes
    with pytest.raises(ModelFileError, match=r"s-00002-of-00002\.gguf"):
        Estimator(gpus=tuple).predict(init_of(split))


def test_a_file_that_is_gone_is_named(estimator, record):
    """The caller hears which file cannot be read."""
    init = init_of(record)
    record.file.unlink()

    with pytest.raises(ModelFileError, match=r"m\.gguf cannot be read: No such file or directory"):
        estimator.predict(init)


def test_a_card_is_of_use_to_a_build_that_can_use_it(record, monkeypatch):
    """With CUDA and a card, the layers are expected there."""
    monkeypatch.setattr("hoshikage.plugins.engine_llamacpp.machine._backends", lambda: {"cuda"})
    card = GpuMemory(0, "A", 1 << 30, 1 << 30, 0)

    assert 0 < Estimator(gpus=lambda: (card,)).predict(init_of(record)).vram_bytes
    assert 0 == Estimator(gpus=tuple).predict(init_of(record)).vram_bytes
