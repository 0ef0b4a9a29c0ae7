"""What llama.cpp is compiled with by `make install`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install.py"
WITHOUT_AMX = "-U__AMX_INT8__"


@pytest.fixture
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("has_amx", "gcc", "without"), [(True, 12, True), (True, 14, False), (True, None, False), (False, 12, False)]
)
def test_an_old_gcc_compiles_nothing_for_amx(script, has_amx, gcc, without):
    """Its kernels for AMX end the process; what the user has set is kept."""
    found = script.build_environment({"CXXFLAGS": "-O1", "HOME": "/home/me"}, has_amx=has_amx, gcc=gcc)

    assert ("-O1" + f" {WITHOUT_AMX}" * without, "/home/me") == (found["CXXFLAGS"], found["HOME"])
    assert without == (found.get("CFLAGS") == WITHOUT_AMX)


@pytest.mark.parametrize(
    ("macros", "version"),
    [("#define __GNUC__ 12", 12), ("#define __GNUC__ 4'; echo '#define __clang__ 1", None), ("", None)],
)
def test_the_compiler_says_what_it_is(script, monkeypatch, tmp_path, macros, version):
    """Clang calls itself GCC 4 as well, so that alone says nothing."""
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\necho '#define __EMPTY__ '\necho '#define __GNUC_MINOR__ 2'\necho '{macros}'\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", f"{compiler} -O2")

    assert version == script.gcc_version()


@pytest.mark.parametrize(
    ("library", "broken"),
    [
        (b"ggml_backend_amx_buffer_type GCC: (Debian 12.2.0-14) 12.2.0", True),
        (b"ggml_backend_amx_buffer_type GCC: (GNU) 14.1.0", False),
        (b"GCC: (Debian 12.2.0-14) 12.2.0", False),
        (None, False),
    ],
)
def test_a_cached_wheel_with_broken_kernels_is_noticed(script, tmp_path, library, broken):
    """Pip knows a wheel by its version, not by what compiled it."""
    folder = tmp_path / "lib/python3.11/site-packages/llama_cpp/lib"
    folder.mkdir(parents=True)
    if library is not None:
        (folder / "libggml-cpu.so").write_bytes(library)

    assert broken == script.breaks_amx(tmp_path)
