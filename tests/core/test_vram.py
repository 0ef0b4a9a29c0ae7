"""The memory of GPUs, by a stand-in for the driver's library: machines that test have no card."""

from __future__ import annotations

import builtins
from types import SimpleNamespace

import pytest

from hoshikage.core.vram import GpuMemory, gpu_memory

GIB = 1 << 30


class Nvml:
    """The part of `pynvml` that is used, with cards of our own; a card may be an error."""

    class NVMLError(Exception):
        """As in the library."""

    def __init__(self, *cards: object, init_error: Exception | None = None) -> None:
        self.cards = cards
        self.init_error = init_error
        self.opened = 0

    def __getattr__(self, name: str):
        return {
            "nvmlInit": self.open,
            "nvmlShutdown": self.close,
            "nvmlDeviceGetCount": lambda: len(self.cards),
            "nvmlDeviceGetHandleByIndex": self.card,
            "nvmlDeviceGetMemoryInfo": lambda card: card.memory,
            "nvmlDeviceGetName": lambda card: card.name,
        }[name]

    def open(self) -> None:
        if self.init_error:
            raise self.init_error
        self.opened += 1

    def close(self) -> None:
        self.opened -= 1

    def card(self, index: int) -> object:
        card = self.cards[index]
        if isinstance(card, Exception):
            raise card
        return card


def card(name: object, total: int, free: int) -> SimpleNamespace:
    return SimpleNamespace(name=name, memory=SimpleNamespace(total=total, free=free, used=total - free))


def test_every_card_tells_its_memory():
    """Each GPU comes with its number, its name and its bytes."""
    nvml = Nvml(card("A", 24 * GIB, 20 * GIB), card(b"B", 8 * GIB, GIB))

    assert (
        GpuMemory(0, "A", 24 * GIB, 20 * GIB, 4 * GIB),
        GpuMemory(1, "B", 8 * GIB, GIB, 7 * GIB),
    ) == gpu_memory(nvml)


def test_a_card_that_does_not_answer_is_left_out():
    """One broken card does not hide the others, and those keep their numbers."""
    nvml = Nvml(Nvml.NVMLError("GPU is lost"), card("B", 8 * GIB, GIB))

    assert [1] == [gpu.index for gpu in gpu_memory(nvml)]


@pytest.mark.parametrize("error", [Nvml.NVMLError("Driver Not Loaded"), OSError("no such library")])
def test_without_a_driver_there_are_no_gpus(error):
    """A library that cannot reach a driver is no error."""
    assert () == gpu_memory(Nvml(init_error=error))


def test_the_library_is_closed_again():
    """What was opened is closed, also where there is no card."""
    nvml = Nvml()

    assert ((), 0) == (gpu_memory(nvml), nvml.opened)


def test_a_count_that_fails_leaves_no_gpus():
    """Even the first question may fail."""
    nvml = Nvml()
    nvml.nvmlDeviceGetCount = lambda: (_ for _ in ()).throw(Nvml.NVMLError("Unknown Error"))

    assert ((), 0) == (gpu_memory(nvml), nvml.opened)


def test_without_the_library_there_are_no_gpus(monkeypatch):
    """The extra `cuda` need not be installed."""
    importing = builtins.__import__

    def refuse(name: str, *rest: object, **more: object):
        if name == "pynvml":
            raise ImportError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)

    assert () == gpu_memory()
