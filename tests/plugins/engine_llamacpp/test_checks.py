"""The checks of `doctor`: compiler, build and GPU, on this machine and on imagined ones."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from hoshikage import CheckResult
from hoshikage.plugins.engine_llamacpp import checks
from hoshikage.plugins.engine_llamacpp.checks import (
    check_build,
    check_compiler,
    check_gpu,
    cpu_flags,
    llamacpp_checks,
    unused_features,
)


def test_the_engine_has_three_checks():
    """Each check has its name in the table of `doctor`."""
    assert ["compiler", "llama.cpp", "gpu"] == [c.name for c in llamacpp_checks()]


# --- features ---


@pytest.mark.parametrize(
    ("flags", "used", "expected"),
    [
        ("", "", []),
        ("avx avx2 fma f16c avx512f", "AVX AVX2 FMA F16C AVX512", []),
        ("avx avx2 fma f16c", "", ["AVX", "AVX2", "FMA", "F16C"]),
        ("avx avx2 avx512f", "AVX AVX2", ["AVX512"]),
        ("avx512f", "AVX512", []),
        ("sse2 ssse3 neon", "", []),
        ("avx", "AVX2", ["AVX"]),
    ],
)
def test_unused_features(flags, used, expected):
    """A feature counts when the CPU has it, the build does not use it, and it matters for speed."""
    assert expected == unused_features(frozenset(flags.split()), used.split())


def test_flags_are_read_from_the_system():
    """Linux lists the flags; a machine without that list has none, and no warning."""
    expected = Path("/proc/cpuinfo").is_file() and "flags" in Path("/proc/cpuinfo").read_text()

    assert expected == bool(cpu_flags())


# --- compiler ---


def test_without_a_compiler_the_advice_names_the_package(monkeypatch, tmp_path):
    """No compiler is a warning: only an update needs one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    (result,) = check_compiler()

    assert ("compiler", "warning", "no C++ compiler") == (result.name, result.level, result.found)
    assert "build-essential" in result.advice


def test_a_compiler_on_the_path_is_shown_with_its_version(monkeypatch, tmp_path):
    """The first line of what it says of itself is what the user sees."""
    write_script(tmp_path / "g++", "echo 'g++ (imagined) 13.2'; echo 'Copyright'")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    assert [CheckResult("compiler", "ok", "g++ (imagined) 13.2")] == check_compiler()


def test_the_compiler_of_the_environment_comes_first(monkeypatch, tmp_path):
    """`CXX` is what a build would take."""
    monkeypatch.setenv("CXX", str(write_script(tmp_path / "mine", "echo mine 1.0")))

    assert [CheckResult("compiler", "ok", "mine 1.0")] == check_compiler()


def test_a_compiler_of_the_environment_that_does_not_exist_is_a_warning(monkeypatch, tmp_path):
    """A stale `CXX` is named, and does not break the other checks."""
    missing = str(tmp_path / "gone")
    monkeypatch.setenv("CXX", missing)
    (result,) = check_compiler()

    assert ("warning", True) == (result.level, missing in result.found)


def test_a_compiler_of_the_environment_may_have_arguments(monkeypatch, tmp_path):
    """`CXX="ccache g++"` is common."""
    wrapper = write_script(tmp_path / "ccache", 'echo "$1 by ccache"')
    monkeypatch.setenv("CXX", f"{wrapper} g++")

    assert [CheckResult("compiler", "ok", "g++ by ccache")] == check_compiler()


# --- build ---


@pytest.mark.model
def test_the_installed_build_is_described():
    """Version, device and features of the build that is really here."""
    first = check_build()[0]

    assert ("llama.cpp", "ok") == (first.name, first.level)
    assert first.found.startswith("llama-cpp-python 0.")
    assert " for cpu, using " in first.found or " for gpu, using " in first.found


def test_a_build_that_leaves_features_lying_is_a_warning(monkeypatch):
    """The CPU could do more: the advice is the command that rebuilds."""
    monkeypatch.setattr(checks, "probe", lambda: ("cpu", "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 0 |"))
    monkeypatch.setattr(checks, "cpu_flags", lambda: frozenset({"avx", "avx2"}))
    _, warning = check_build()

    assert ("warning", "the CPU has AVX2, which the build does not use") == (warning.level, warning.found)
    assert "--no-binary llama-cpp-python" in warning.advice


def test_a_build_that_cannot_be_loaded_is_an_error(monkeypatch, tmp_path):
    """A library that is missing or for another CPU ends the probe; the check says how."""
    python = write_script(tmp_path / "python", "echo 'libcudart.so.12: cannot open' >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(python))
    (result,) = check_build()

    assert ("error", True) == (result.level, "libcudart.so.12: cannot open" in result.found)


def test_a_build_that_dies_by_a_signal_is_an_error(monkeypatch, tmp_path):
    """An illegal instruction says nothing; the signal's number is all there is."""
    monkeypatch.setattr(sys, "executable", str(write_script(tmp_path / "python", "kill -ILL $$")))
    (result,) = check_build()

    assert ("error", True) == (result.level, "SIGILL" in result.found)


# --- GPU ---


def test_without_a_driver_models_run_on_the_cpu(monkeypatch, tmp_path):
    """No NVIDIA driver is no fault."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [CheckResult("gpu", "ok", "no NVIDIA driver here: models run on the CPU")] == check_gpu()


@pytest.mark.model
def test_a_card_without_a_build_for_it_gets_the_build_flag(card, monkeypatch):
    """The installed build is asked; one for the CPU only leaves the card idle."""
    (result,) = check_gpu()

    if checks.probe()[0] == "cpu":
        assert ("warning", True) == (result.level, "CMAKE_ARGS=-DGGML_CUDA=on" in result.advice)
    assert result.found.startswith("GPU 0: Imagined (UUID: 1)")


def test_a_card_that_the_build_can_use_is_fine(card, monkeypatch):
    """All cards are listed on one line."""
    monkeypatch.setattr(checks, "probe", lambda: ("gpu", ""))

    assert [CheckResult("gpu", "ok", "GPU 0: Imagined (UUID: 1); GPU 1: Imagined (UUID: 2)")] == check_gpu()


def test_a_driver_without_a_card_shows_what_it_says(monkeypatch, tmp_path):
    """A broken driver's own words are the best hint."""
    write_script(tmp_path / "nvidia-smi", "echo 'Driver/library version mismatch' >&2; exit 18")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(checks, "probe", lambda: ("gpu", ""))

    assert [CheckResult("gpu", "ok", "Driver/library version mismatch")] == check_gpu()


@pytest.fixture
def card(tmp_path, monkeypatch) -> None:
    """A machine with two cards."""
    says = "echo 'GPU 0: Imagined (UUID: 1)'; echo 'GPU 1: Imagined (UUID: 2)'"
    write_script(tmp_path / "nvidia-smi", says)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def write_script(file: Path, body: str) -> Path:
    """A small program."""
    file.write_text(f"#!{shutil.which('sh')}\n{body}\n")
    file.chmod(0o755)
    return file
