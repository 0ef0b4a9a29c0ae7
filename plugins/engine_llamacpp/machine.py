"""What of this machine changes what a model takes."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CPU_INFO: Final = Path("/proc/cpuinfo")
# Weights of these types get a second copy in another order. Seen on a CPU with AVX2; the sets for AVX-512 and Arm are
# from `ggml_repack_get_optimal_repack_type` in ggml's repack.cpp and have not been run.
REPACKED_AVX2: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
REPACKED_AVX512: Final = REPACKED_AVX2 | {"Q2_K"}
REPACKED_ARM: Final = frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"})

OTHER_GPUS: Final = frozenset({"hip", "metal", "sycl", "vulkan"})  # their backends find no device without one
AMX_FLAGS: Final = frozenset({"amx_int8", "avx512_vnni"})
AMX_NAME: Final = b"ggml_backend_amx_buffer_type"
# In the section `.comment` of what it has compiled.
GCC: Final = re.compile(rb"GCC: \([^)]*\) (\d+)\.")
FIRST_SOUND_GCC: Final = 14
BACKEND: Final = re.compile(r"(?:lib)?ggml-([a-z]+)\.")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as llama.cpp sees it.

    Attributes:
        repacked_types: weight types that this CPU wants in another order.
        has_gpu: layers can go to a GPU.
        has_amx: the CPU multiplies with AMX's tiles, and the build can.
    """

    repacked_types: frozenset[str] = frozenset()
    has_gpu: bool = False
    has_amx: bool = False


def this_machine(*, has_nvidia: bool) -> Machine:
    """The machine that this runs on, as the installed build of llama.cpp can use it; `has_nvidia`: it has a card."""
    backends = _backends()
    has_gpu = bool(backends & OTHER_GPUS) or (has_nvidia and "cuda" in backends)
    if not may_reorder():
        return Machine(has_gpu=has_gpu)
    return Machine(repacked_types_of(platform.machine(), _cpu_flags()), has_gpu, _has_amx())


def repacked_types_of(architecture: str, flags: frozenset[str]) -> frozenset[str]:
    """The weight types that llama.cpp copies on a CPU of this architecture with these features."""
    if architecture in {"aarch64", "arm64"}:
        return REPACKED_ARM if "asimddp" in flags else frozenset()
    if "avx2" not in flags:
        return frozenset()
    return REPACKED_AVX512 if "avx512f" in flags else REPACKED_AVX2


@functools.cache
def _cpu_flags() -> frozenset[str]:
    with contextlib.suppress(OSError):
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", CPU_INFO.read_text(), re.MULTILINE)
        return frozenset(found[1].split() if found else ())
    return frozenset()


def _backends() -> set[str]:
    """The backends that the build brings, by the names of its libraries: importing it here would cost too much."""
    return {found[1] for file in _libraries() if (found := BACKEND.match(file.name))}


def may_reorder() -> bool:
    """Whether llama.cpp may copy weights into other orders, each with kernels of its own.

    GCC before 14 drops most of the configuration of AMX's tiles (its `_tile_loadconfig` claims to read 8 of the 64
    bytes), and the first prompt then ends the process by SIGILL. Without other orders these kernels are not used.
    """
    return not _has_amx() or not any(int(version) < FIRST_SOUND_GCC for version in GCC.findall(_cpu_library()))


@functools.cache
def _has_amx() -> bool:
    """Whether AMX is used: the build has its kernels only if it was compiled for such a CPU."""
    return _cpu_flags() >= AMX_FLAGS and AMX_NAME in _cpu_library()


def _cpu_library() -> bytes:
    return next((file.read_bytes() for file in _libraries() if "ggml-cpu" in file.name), b"")


def _libraries() -> list[Path]:
    spec = importlib.util.find_spec("llama_cpp")
    folders = spec.submodule_search_locations if spec else None
    return [file for folder in folders or () for file in Path(folder).glob("lib/*ggml-*")]
