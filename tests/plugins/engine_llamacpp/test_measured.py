"""The memory of earlier loads, and what goes into it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from hoshikage import MemoryNeed, ModelRecord
from hoshikage.plugins.engine_llamacpp.measured import MAX_ENTRIES, MeasuredNeeds, key_of
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings

NEED = MemoryNeed(weights_bytes=4, context_bytes=3, other_bytes=2, vram_bytes=1)
SETTINGS = LlamaCppSettings()


@pytest.fixture
def file(tmp_path):
    """Where the needs lie; the folder does not exist yet."""
    return tmp_path / "data" / "footprints.json"


def test_a_need_outlives_the_process(file):
    """What one run has measured, the next one knows; it is marked as measured."""
    MeasuredNeeds(file).put("k", NEED)

    assert replace(NEED, measured=True) == MeasuredNeeds(file).get("k")


def test_what_was_never_measured_is_unknown(file):
    """A key without a load has no need."""
    assert MeasuredNeeds(file).get("k") is None


def test_the_newest_measurement_counts(file):
    """A later load of the same kind replaces the earlier one."""
    needs = MeasuredNeeds(file)
    needs.put("k", replace(NEED, other_bytes=99))
    needs.put("k", NEED)

    assert replace(NEED, measured=True) == needs.get("k")


def test_the_oldest_go(file):
    """The file does not grow without end: the keys put last stay, also over a restart."""
    needs = MeasuredNeeds(file)
    needs.put("first", NEED)
    file.write_text(json.dumps({str(n): json.loads(file.read_text())["first"] for n in range(MAX_ENTRIES)}))
    needs = MeasuredNeeds(file)
    needs.put("last", NEED)

    assert (False, True, True) == tuple(MeasuredNeeds(file).get(key) is not None for key in ("0", "1", "last"))


def test_an_equal_measurement_is_not_written(file):
    """The same numbers again cost no write to the disk."""
    needs = MeasuredNeeds(file)
    needs.put("k", NEED)
    before = file.stat().st_ino
    needs.put("k", NEED)

    assert before == file.stat().st_ino


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"k": 1}',
        b'{"k": {"weights": -1, "context": 1, "other": 1, "vram": 1}}',
        b'{"k": {"weights": 1, "context": 1, "other": 1}}',
        b'{"k": {"weights": 1e400, "context": 1, "other": 1, "vram": 1}}',
        b'{"k":' * 10_000,
        b" " * (2 << 20) + b"{}",
    ],
)
def test_a_damaged_file_is_ignored(file, content):
    """Whatever is in the file, it is one log line and an empty memory, which can be filled again."""
    file.parent.mkdir()
    file.write_bytes(content)
    needs = MeasuredNeeds(file)
    with capture_logs() as logs:
        found = needs.get("k")
    needs.put("k", NEED)

    assert (None, ["footprints_damaged"]) == (found, [entry["event"] for entry in logs])
    assert MeasuredNeeds(file).get("k") is not None


def test_a_disk_that_cannot_be_written_is_a_warning(tmp_path):
    """The need is known as long as the process lives."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    needs = MeasuredNeeds(blocked / "footprints.json")
    with capture_logs() as logs:
        needs.put("k", NEED)

    assert "footprints_not_written" in [entry["event"] for entry in logs]
    assert replace(NEED, measured=True) == needs.get("k")


# --- keys ---


@pytest.fixture
def record(tmp_path):
    """A model whose digest is known."""
    return ModelRecord("m", tmp_path / "m.gguf", size_bytes=7, modified_at=1.0, digest="d" * 64)


def key(record, settings=SETTINGS, *, context_length=0, has_gpu=False):
    return key_of(record, settings, context_length=context_length, has_gpu=has_gpu)


def test_the_file_and_its_version_count(record, tmp_path):
    """Neither the name nor the digest, which is not known at the first load; a file that changed has another key."""
    assert key(record) == key(replace(record, name="n", digest=""))
    assert key(record) != key(replace(record, modified_at=2.0))
    assert key(record) != key(replace(record, file=tmp_path / "n.gguf"))


@pytest.mark.parametrize("change", [{"n_ctx": 512}, {"n_ubatch": 64}, {"cache_type_k": "q8_0"}, {"max_num_seqs": 2}])
def test_settings_that_matter_make_another_key(record, change):
    """What was measured with other settings is not used."""
    assert key(record) != key(record, replace(SETTINGS, **change))


@pytest.mark.parametrize("change", [{"n_threads": 3}, {"nice": 5}, {"max_pause_s": 1.0}, {"pooling": "cls"}])
def test_settings_without_effect_do_not(record, change):
    """Threads and pauses take no memory worth counting."""
    assert key(record) == key(record, replace(SETTINGS, **change))


def test_a_length_that_is_asked_for_is_that_of_the_settings(record):
    """It makes no difference who says how long the context is."""
    assert key(record, replace(SETTINGS, n_ctx=512)) == key(record, context_length=512)


def test_a_gpu_makes_another_key(record):
    """A card that was put in or taken out moves the weights."""
    assert key(record) != key(record, has_gpu=True)


def test_another_build_makes_another_key(record, monkeypatch):
    """A new release of llama.cpp may lay out its buffers anew."""
    before = key(record)
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "9.9")

    assert before != key(record)
