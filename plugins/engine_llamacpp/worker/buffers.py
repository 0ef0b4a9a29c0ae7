"""The buffers that llama.cpp says it has made, read from its log."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

MIB: Final = 1 << 20
# E.g. `load_tensors:   CPU_Mapped model buffer size =    92.10 MiB`.
LINE: Final = re.compile(r"\S+:\s+(\S+)\s+(model|KV|RS|output|compute|LoRA|DSV4 .*state) buffer size =\s*([\d.]+) MiB")
MAPPED: Final = "CPU_Mapped"
REPACKED: Final = frozenset({"CPU_REPACK", "CPU_KLEIDIAI", "AMX"})
OF_CONTEXT: Final = frozenset({"KV", "RS"})


class Buffers:
    """What one model and its context hold, by device and purpose.

    The binding has no call for these numbers: `llama_get_memory_breakdown` returns a C++ map.
    """

    def __init__(self) -> None:
        self._sizes: defaultdict[tuple[str, str], int] = defaultdict(int)

    def read(self, line: str) -> None:
        """Take note of a line of llama.cpp's log; most say nothing of buffers."""
        if found := LINE.match(line):
            device, purpose, mebibytes = found.groups()
            self._sizes[device, "KV" if purpose.endswith("state") else purpose] += round(float(mebibytes) * MIB)

    def replace_context(self, other: Buffers) -> None:
        """The context is gone, and the one that `other` was told of has taken its place."""
        for key in [k for k in self._sizes if k[1] not in {"model", "LoRA"}]:
            del self._sizes[key]
        self._sizes.update(other._sizes)

    @property
    def mapped_bytes(self) -> int:
        """Weights that are mapped from the file."""
        return self._sizes[MAPPED, "model"]

    @property
    def weights_bytes(self) -> int:
        """Weights that were read into main memory."""
        devices = {device for device, _ in self._sizes if _is_main_memory(device)} - {MAPPED} - REPACKED
        return sum(self._sizes[device, "model"] for device in devices)

    @property
    def repacked_bytes(self) -> int:
        """Copies of weights in another order."""
        return sum(self._sizes[device, "model"] for device in REPACKED)

    @property
    def context_bytes(self) -> int:
        """KV cache and running states in main memory."""
        return sum(size for (device, purpose), size in self._sizes.items() if _remembers(device, purpose))

    @property
    def compute_bytes(self) -> int:
        """Compute buffers in main memory."""
        return sum(size for (d, purpose), size in self._sizes.items() if purpose == "compute" and _is_main_memory(d))

    @property
    def vram_bytes(self) -> int:
        """Everything on GPUs."""
        return sum(size for (device, _), size in self._sizes.items() if not _is_main_memory(device))


def _remembers(device: str, purpose: str) -> bool:
    return purpose in OF_CONTEXT and _is_main_memory(device)


def _is_main_memory(device: str) -> bool:
    """Whether it is the CPU's, e.g. `CPU` or `CUDA_Host`; GPUs are called e.g. `CUDA0`."""
    return device.startswith("CPU") or device == "AMX" or device.endswith(("_Host", "_Mapped"))
