"""How much memory is left for models, by what is measured and what the settings say."""

from __future__ import annotations

import pytest

from hoshikage import MemoryNeed
from hoshikage.core.budget import FLOOR_SHARE, GIB, LEAST_FLOOR_BYTES, Budget, Free
from hoshikage.core.memory import MainMemory
from hoshikage.core.settings import ResidencySettings
from hoshikage.core.vram import GpuMemory

HALF = GIB // 2
SMALL = MainMemory(2 * GIB, 2 * GIB)  # its floor is the least one
NOTHING = {"mapped_bytes": 0, "expected": (), "loaded": ()}


def card(free_bytes: int) -> GpuMemory:
    return GpuMemory(0, "card", free_bytes, free_bytes, 0)


def budget(memory: MainMemory = SMALL, gpus: tuple[GpuMemory, ...] = (), **settings: float) -> Budget:
    return Budget(ResidencySettings(**settings), measure_ram=lambda: memory, measure_gpus=lambda: gpus)


@pytest.mark.parametrize(
    ("memory", "floor"),
    [(SMALL, LEAST_FLOOR_BYTES), (MainMemory(100 * GIB, 50 * GIB), 100 * GIB // FLOOR_SHARE)],
)
def test_some_memory_stays_free(memory: MainMemory, floor: int):
    """A share of the machine's memory is left alone, and on a small machine a fixed amount."""
    assert memory.available_bytes - floor == budget(memory).free(**NOTHING).ram_bytes


def test_there_is_never_less_than_nothing():
    """Where less is available than must stay free, nothing is free."""
    assert 0 == budget(MainMemory(GIB, 1)).free(**NOTHING).ram_bytes


def test_mapped_weights_are_not_free():
    """Pages of loaded files count as available to the system, and not to another model."""
    free = budget().free(mapped_bytes=HALF, expected=(), loaded=())

    assert 2 * GIB - LEAST_FLOOR_BYTES - HALF == free.ram_bytes


def test_what_is_being_loaded_is_not_free():
    """What a load is going to take is gone before it is there."""
    need = MemoryNeed(weights_bytes=1, context_bytes=2, other_bytes=3, vram_bytes=1000)
    free = budget().free(mapped_bytes=0, expected=[need, need], loaded=[need, need])

    assert 2 * GIB - LEAST_FLOOR_BYTES - 12 == free.ram_bytes


@pytest.mark.parametrize(("gib", "left"), [(1, HALF), (0.5, 0), (0.25, 0), (100, 2 * GIB - LEAST_FLOOR_BYTES)])
def test_a_bound_of_the_settings_counts_what_is_loaded(gib: float, left: int):
    """With `memory_gib` all models together take no more than that, nor more than there is."""
    loaded = [MemoryNeed(context_bytes=HALF)]

    assert left == budget(memory_gib=gib).free(mapped_bytes=0, expected=(), loaded=loaded).ram_bytes


def test_without_a_card_its_memory_has_no_bound():
    """Where there is no card nothing is put there, so nothing can be missing."""
    assert None is budget().free(**NOTHING).vram_bytes


def test_cards_count_together_less_their_floor():
    """What is free on all cards is one budget; `vram_floor_gib` stays free, and loads under way are gone."""
    cards = (card(2 * GIB), card(GIB))
    coming = [MemoryNeed(vram_bytes=GIB)]
    free = budget(gpus=cards, vram_floor_gib=0.5).free(mapped_bytes=0, expected=coming, loaded=coming)

    assert GIB + HALF == free.vram_bytes


@pytest.mark.parametrize(("gib", "left"), [(2, GIB), (0.5, 0)])
def test_a_bound_for_the_cards(gib: float, left: int):
    """`vram_gib` bounds what models take on all cards together."""
    cards, loaded = (card(10 * GIB),), [MemoryNeed(vram_bytes=GIB)]

    assert left == budget(gpus=cards, vram_gib=gib).free(mapped_bytes=0, expected=(), loaded=loaded).vram_bytes


def test_this_machine_is_measured():
    """Without anything given, the machine itself is asked."""
    free = Budget(ResidencySettings()).free(**NOTHING)

    assert isinstance(free, Free)
    assert free.ram_bytes > 0
