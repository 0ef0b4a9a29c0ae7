"""What of a machine changes what a model takes."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import platform

import pytest

from hoshikage.plugins.engine_llamacpp import machine
from hoshikage.plugins.engine_llamacpp.machine import may_reorder, repacked_types_of, this_machine


@pytest.mark.parametrize(
    ("architecture", "flags", "some", "others"),
    [
        ("x86_64", {"avx2"}, {"Q4_0", "Q4_K"}, {"Q8_0", "Q2_K"}),
        ("x86_64", {"avx2", "avx512f"}, {"Q4_0", "Q2_K"}, {"Q8_0"}),
        ("x86_64", {"avx"}, set(), {"Q4_0"}),
        ("aarch64", {"asimddp"}, {"Q4_0", "Q8_0"}, {"Q2_K"}),
        ("riscv64", set(), set(), {"Q4_0"}),
    ],
)
def test_which_weights_are_copied_depends_on_the_cpu(architecture, flags, some, others):
    """Each kind of CPU likes another order for other types."""
    types = repacked_types_of(architecture, frozenset(flags))

    assert (some, set()) == (types & some, types & others)


@pytest.fixture
def build_with(tmp_path, monkeypatch):
    """Makes the installed build one with these libraries."""

    def install(*libraries: str) -> None:
        (tmp_path / "lib").mkdir()
        for name in libraries:
            (tmp_path / "lib" / name).write_bytes(b"")
        spec = importlib.machinery.ModuleSpec("llama_cpp", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)

    return install


@pytest.mark.parametrize(
    ("library", "has_nvidia", "has_gpu"),
    [
        ("libggml-cpu.so", True, False),
        ("libggml-cuda.so", True, True),
        ("libggml-cuda.so.0", False, False),
        ("ggml-vulkan.dll", False, True),
        ("libggml-metal.dylib", False, True),
    ],
)
def test_layers_go_to_a_gpu_only_where_the_build_can_use_one(build_with, library, has_nvidia, has_gpu):
    """A card is of no use to a build without CUDA, and neither is CUDA without a card."""
    build_with(library, "libggml-base.so")

    assert has_gpu == this_machine(has_nvidia=has_nvidia).has_gpu


def test_without_llama_cpp_there_is_no_gpu(monkeypatch):
    """Nothing is installed, nothing is asked."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    assert not this_machine(has_nvidia=True).has_gpu


# --- AMX ---

OLD_GCC, NEW_GCC = b"GCC: (Debian 12.2.0-14) 12.2.0", b"GCC: (GNU) 14.1.0"


@pytest.mark.parametrize(
    ("flags", "library", "reorders", "amx"),
    [
        ({"avx2", "amx_int8", "avx512_vnni"}, machine.AMX_NAME + NEW_GCC, True, True),
        ({"avx2", "amx_int8", "avx512_vnni"}, machine.AMX_NAME + OLD_GCC, False, False),
        ({"avx2", "amx_int8", "avx512_vnni"}, machine.AMX_NAME, True, True),  # another compiler
        ({"avx2", "amx_int8", "avx512_vnni"}, OLD_GCC, True, False),
        ({"avx2"}, machine.AMX_NAME + OLD_GCC, True, False),
    ],
)
def test_broken_kernels_for_amx_are_not_used(monkeypatch, flags, library, reorders, amx):
    """A build by an old GCC dies with AMX; weights then stay as they are, and no copy of them is counted."""
    monkeypatch.setattr(machine, "_cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(machine, "_cpu_library", lambda: library)
    monkeypatch.setattr(machine, "_has_amx", machine._has_amx.__wrapped__)  # what is remembered is of the real machine
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    found = this_machine(has_nvidia=False)

    assert (reorders, amx, reorders) == (may_reorder(), found.has_amx, bool(found.repacked_types))
