"""What `doctor` looks at in the engine's field: the compiler, and what llama.cpp was built for."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hoshikage import Check, CheckResult
from hoshikage.plugins.engine_llamacpp.machine import may_reorder

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPILERS = ("c++", "g++", "clang++")
PROBE_LIMIT_S = 60
BROKEN = "broken"
REBUILD = "pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
# In a process of its own: loading a CUDA build can take seconds and print to the terminal.
PROBE = (
    "import llama_cpp as l; l.llama_backend_init(); "
    "print('gpu' if l.llama_supports_gpu_offload() else 'cpu'); print(l.llama_print_system_info().decode())"
)


def llamacpp_checks() -> list[Check]:
    """The checks of this engine."""
    return [Check("compiler", check_compiler), Check("llama.cpp", check_build), Check("gpu", check_gpu)]


def check_compiler() -> Sequence[CheckResult]:
    """Whether llama.cpp could be compiled here."""
    chosen = shlex.split(os.environ.get("CXX", ""))  # it may hold arguments: `ccache g++`
    found = chosen or [path for c in COMPILERS if (path := shutil.which(c))][:1]
    advice = "only needed to install or update: `sudo apt install build-essential`"
    if not found:
        return [CheckResult("compiler", "warning", "no C++ compiler", advice)]
    if shutil.which(found[0]) is None:
        return [CheckResult("compiler", "warning", f"CXX names {found[0]}, which does not exist", advice)]
    said = subprocess.run([*found, "--version"], capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=False)
    return [CheckResult("compiler", "ok", said.stdout.partition("\n")[0] or shlex.join(found))]


def check_build() -> Sequence[CheckResult]:
    """The installed build, and the CPU features that it uses and that the CPU has."""
    if importlib.util.find_spec("llama_cpp") is None:
        return [CheckResult("llama.cpp", "error", "llama-cpp-python is not installed", "run `make install`")]
    version = importlib.metadata.version("llama-cpp-python")
    kind, info = probe()
    if kind == BROKEN:
        found = f"llama-cpp-python {version} cannot be loaded: {info}"
        return [CheckResult("llama.cpp", "error", found, f"build it on this machine: {REBUILD}")]
    used = sorted(re.findall(r"(\w+) = 1", info))
    results = [CheckResult("llama.cpp", "ok", f"llama-cpp-python {version} for {kind}, using {' '.join(used)}")]
    unused = unused_features(cpu_flags(), used)
    if unused:
        found = f"the CPU has {' '.join(unused)}, which the build does not use"
        results.append(CheckResult("llama.cpp", "warning", found, f"rebuild it on this machine: {REBUILD}"))
    if not may_reorder():
        found = "its kernels for AMX were compiled by a GCC before 14, which breaks them; they are not used"
        advice = f"rebuild it without them (or with GCC 14): CXXFLAGS=-U__AMX_INT8__ CFLAGS=-U__AMX_INT8__ {REBUILD}"
        results.append(CheckResult("llama.cpp", "warning", found, advice))
    return results


def check_gpu() -> Sequence[CheckResult]:
    """Whether there is an NVIDIA card, and whether the build can use it."""
    if shutil.which("nvidia-smi") is None:
        return [CheckResult("gpu", "ok", "no NVIDIA driver here: models run on the CPU")]
    said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=False)
    cards = said.stdout.strip().replace("\n", "; ") or said.stderr.strip() or "no card"
    if probe()[0] != "cpu":  # a broken build is the business of the check above
        return [CheckResult("gpu", "ok", cards)]
    advice = f"rebuild llama.cpp for CUDA: CMAKE_ARGS=-DGGML_CUDA=on {REBUILD}"
    return [CheckResult("gpu", "warning", f"{cards}, but llama.cpp is built for the CPU only", advice)]


def probe() -> tuple[str, str]:
    """Ask the build: `cpu` or `gpu`, and its own line on features; or `BROKEN`, and how it ended."""
    said = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=False
    )
    if said.returncode < 0:
        return BROKEN, f"it ends by {signal.Signals(-said.returncode).name}"
    if said.returncode:
        return BROKEN, said.stderr.strip().rpartition("\n")[2]
    kind, _, info = said.stdout.partition("\n")
    return kind.strip(), info.strip()


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux names them; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    line = next((text for text in lines if text.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def unused_features(flags: frozenset[str], used: Sequence[str]) -> list[str]:
    """Features that matter for speed, that the CPU has and the build leaves lying."""
    wanted = {"AVX": "avx", "AVX2": "avx2", "FMA": "fma", "F16C": "f16c", "AVX512": "avx512f"}
    return [name for name, flag in wanted.items() if flag in flags and name not in used]
