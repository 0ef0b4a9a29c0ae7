"""The engine before any process: settings and options, and files that are refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from hoshikage import ModelRecord
from hoshikage.core.errors import ModelFileError, ModelLoadFailed
from hoshikage.plugins.engine_llamacpp import engine as engine_module
from hoshikage.plugins.engine_llamacpp.child import worker_environment
from hoshikage.plugins.engine_llamacpp.engine import LlamaCppEngine, init_frame, usable_cores
from hoshikage.plugins.engine_llamacpp.settings import LlamaCppSettings

SETTINGS = LlamaCppSettings(n_ctx=4096, n_threads=3)


@pytest.fixture
def no_process(monkeypatch) -> list[object]:
    """Starting a process is noted and fails."""
    started: list[object] = []

    async def refuse(*args: object, **_options: object) -> None:
        started.append(args)
        raise AssertionError("a process was started")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    return started


# --- settings and options ---


def test_options_of_a_record_lie_over_the_settings(tmp_path):
    """A model's own options win; what it does not say comes from the settings."""
    file = tmp_path / "m.gguf"
    init = init_frame(ModelRecord("m", file, options={"n_ctx": 512, "cache_type_k": "q8_0"}), SETTINGS)

    assert (str(file), 512, "q8_0", "f16", 3) == (
        init.path,
        init.n_ctx,
        init.cache_type_k,
        init.cache_type_v,
        init.n_threads,
    )


def test_an_unknown_option_is_named(tmp_path):
    """A typing mistake in a model's options stops its load, with the allowed names."""
    record = ModelRecord("m", tmp_path / "m.gguf", options={"n_contxt": 512})

    with pytest.raises(ModelLoadFailed, match=r"'m' has an unknown option 'n_contxt'; llamacpp knows: n_ctx, n_batch"):
        init_frame(record, SETTINGS)


@pytest.mark.parametrize(
    "option",
    [
        {"n_ctx": "many"},
        {"n_ctx": -1},
        {"n_batch": 0},
        {"n_threads": 1.5},
        {"use_mmap": "yes"},
        {"cache_type_v": "q3_0"},
        {"flash_attention": True},
        {"nice": 20},
    ],
    ids=lambda o: f"{o}",
)
def test_a_bad_value_is_named(tmp_path, option):
    """A value of the wrong type or out of range stops the load, with the option's name."""
    (name,) = option

    with pytest.raises(ModelLoadFailed, match=rf"'m' has a bad option: .*\$\.{name}`"):
        init_frame(ModelRecord("m", tmp_path / "m.gguf", options=option), SETTINGS)


def test_zero_threads_takes_the_cores_this_process_may_use(tmp_path, monkeypatch):
    """In a container with one core of many, one thread computes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {5})
    init = init_frame(ModelRecord("m", tmp_path / "m.gguf", options={"n_threads": 0}), SETTINGS)

    assert 1 == init.n_threads


def test_without_affinity_all_cores_are_counted(monkeypatch):
    """Where the system cannot say which cores are allowed, all are."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert 6 == usable_cores()


# --- files ---


def test_only_models_with_a_file_are_supported(tmp_path):
    """The engine leaves models without a file to others."""
    engine = LlamaCppEngine(SETTINGS)

    assert (True, False) == (engine.supports(ModelRecord("m", tmp_path)), engine.supports(ModelRecord("echo")))


async def test_a_record_without_a_file_has_no_facts():
    """Asked anyway, the engine says what is missing."""
    with pytest.raises(ModelFileError, match="'echo' has no file"):
        await LlamaCppEngine(SETTINGS).facts(ModelRecord("echo"))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04" + bytes(1000), "影".encode() * 100])
async def test_a_file_that_is_no_gguf_is_refused_before_any_process(tmp_path, no_process, content):
    """Nothing native ever sees a file that our own reader refuses."""
    file = tmp_path / "m.gguf"
    file.write_bytes(content)

    with pytest.raises(ModelLoadFailed, match="model 'm' cannot be loaded"):
        await LlamaCppEngine(SETTINGS).load(ModelRecord("m", file))
    assert [] == no_process


async def test_a_missing_file_is_refused_before_any_process(tmp_path, no_process):
    """A file that went away since it was registered is named."""
    with pytest.raises(ModelLoadFailed, match=r"gone\.gguf"):
        await LlamaCppEngine(SETTINGS).load(ModelRecord("m", tmp_path / "gone.gguf"))
    assert [] == no_process


@pytest.mark.model
async def test_a_truncated_model_is_refused_before_any_process(tmp_path, no_process, smollm2_path):
    """An interrupted download is noticed although its header is whole."""
    file = tmp_path / "m.gguf"
    with smollm2_path.open("rb") as source:
        file.write_bytes(source.read(smollm2_path.stat().st_size // 2))

    with pytest.raises(ModelLoadFailed, match="model 'm' cannot be loaded"):
        await LlamaCppEngine(SETTINGS).load(ModelRecord("m", file))
    assert [] == no_process


@pytest.mark.model
async def test_a_bad_option_is_refused_before_any_process(no_process, smollm2_path):
    """Options are checked by us, not by an abort of the worker."""
    record = ModelRecord("m", smollm2_path, options={"n_ctx": -5})

    with pytest.raises(ModelLoadFailed, match="n_ctx"):
        await LlamaCppEngine(SETTINGS).load(record)
    assert [] == no_process


@pytest.mark.model
async def test_facts_are_those_of_the_header(smollm2_path):
    """The engine hands on what the file says of itself."""
    facts = await LlamaCppEngine(SETTINGS).facts(ModelRecord("m", smollm2_path))

    assert ("llama", "135M", 8192) == (facts.architecture, facts.parameter_size, facts.context_length)


def test_the_module_imports_no_native_code():
    """The server process never loads llama.cpp: importing the engine leaves it out."""
    code = f"import sys, {engine_module.__name__}; sys.exit('llama_cpp' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], check=False)

    assert 0 == ended.returncode


@pytest.mark.parametrize("variable", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_says_of_spinning_threads_counts(variable: str):
    """A choice in the environment is left alone."""
    environ = {variable: "passive", "PATH": "/bin"}

    assert {"GGML_NO_BACKTRACE": "1", **environ} == worker_environment(environ)


def test_workers_threads_sleep_soon_at_a_barrier():
    """Without a choice the worker's threads do not spin long while they wait for each other."""
    assert "2000" == worker_environment({"PATH": "/bin"})["GOMP_SPINCOUNT"]
