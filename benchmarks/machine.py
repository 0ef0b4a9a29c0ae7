"""The machine and the software that figures belong to."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.contestants import Peers

# What decides which kernels llama.cpp uses.
TELLING_FLAGS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "asimd",
    "sve",
)
VERSION_LIMIT_S = 20


def describe(model: Path, peers: Peers, n_threads: int) -> dict[str, Any]:
    """Processor, memory, kernel, versions, and the model's digest."""
    import llama_cpp

    cpu, flags = _cpu()
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "cpu_flags": [flag for flag in TELLING_FLAGS if flag in flags],
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "hoshikage": _version("hoshikage"),
        "llama_cpp_python": _version("llama-cpp-python"),
        "llama_cpp_features": llama_cpp.llama_print_system_info().decode().strip(" |"),
        "llama_server": _binary_version(peers.llama_server),
        "llama_bench": _binary_version(peers.llama_bench),
        "n_threads": n_threads,
        "model": model.name,
        "model_sha256": _sha256(model),
    }


def lines(machine: dict[str, Any]) -> list[str]:
    """The description as a list for the page."""
    m = machine
    flags = ", ".join(m["cpu_flags"])
    return [
        f"- {m['cpu']}, {m['cores']} cores ({flags}), {m['memory_gib']} GiB, {m['system']}",
        f"- load average before the run: {m['load_average'][0]}; threads for computing: {m['n_threads']}",
        f"- Python {m['python']}, hoshikage {m['hoshikage']}, llama-cpp-python {m['llama_cpp_python']}",
        f"- llama.cpp in llama-cpp-python: {m['llama_cpp_features']}",
        f"- llama-server: {m['llama_server'] or 'not given'}",
        f"- {m['model']} (SHA-256 {m['model_sha256'][:12]}…)",
    ]


def _cpu() -> tuple[str, list[str]]:
    """The processor's name and its flags."""
    name, flags = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in {"flags", "Features"}:
                flags = value
    return name, flags.split()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _binary_version(binary: str) -> str:
    """What a binary says of itself."""
    if not binary:
        return ""
    try:
        done = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=VERSION_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    return " ".join((done.stdout + done.stderr).split())


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
