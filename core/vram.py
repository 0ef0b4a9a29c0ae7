"""How much memory the NVIDIA GPUs of this machine have, asked of their driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The memory of one GPU, in bytes; `used_bytes` is of all programs together."""

    index: int
    name: str
    total_bytes: int
    free_bytes: int
    used_bytes: int


def gpu_memory(nvml: Any = None) -> tuple[GpuMemory, ...]:
    """The GPUs and their memory now; none without a card, a driver, or the library of the extra `cuda`.

    It takes milliseconds, so not in the event loop. It never raises. `CUDA_VISIBLE_DEVICES` is not considered: it
    tells of every card.

    Args:
        nvml: the module `pynvml`, or one like it; by default the installed one.
    """
    nvml = nvml or _installed()
    if nvml is None:
        return ()
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError, OSError) as error:
        log.debug("no_gpu", reason=str(error))
        return ()
    try:
        return tuple(_cards(nvml))
    finally:
        _shut_down(nvml)


def _installed() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _cards(nvml: Any) -> Iterator[GpuMemory]:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        log.warning("gpus_not_counted", reason=str(error))
        return
    for index in range(count):
        try:
            card = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(card)
            name = nvml.nvmlDeviceGetName(card)
        except nvml.NVMLError as error:  # e.g. it fell off the bus, or shares the main memory and has none of its own
            log.warning("gpu_not_read", index=index, reason=str(error))
            continue
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        yield GpuMemory(index, text, int(memory.total), int(memory.free), int(memory.used))


def _shut_down(nvml: Any) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        log.debug("gpu_library_not_closed", reason=str(error))
