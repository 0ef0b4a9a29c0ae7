"""Copies of weights in other orders: which there are on which machine, and their sizes."""

from __future__ import annotations

import pytest

from hoshikage.plugins.engine_llamacpp.machine import Machine
from hoshikage.plugins.engine_llamacpp.repacking import copy_bytes
from tests.plugins.engine_llamacpp.headers import header_of

AVX2 = Machine(frozenset({"Q4_0", "Q4_K"}))
AMX = Machine(frozenset({"Q4_0", "Q4_K"}), has_amx=True)


def size_of(kind: str, shape: tuple[int, ...], machine: Machine) -> float:
    """The copy's size, against that of the matrix itself."""
    (tensor,) = header_of({"blk.0.attn_q.weight": shape}, kind=kind).tensors
    return copy_bytes(tensor, machine) / tensor.size_bytes


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("Q4_0", 1),
        ("Q4_1", 1),
        ("Q8_0", 38 / 34),
        ("Q4_K", 148 / 144),
        ("Q6_K", 1),
        ("F16", 1),
        ("F32", 0),
        ("Q5_0", 0),
    ],
)
def test_amx_takes_more_types_and_some_grow(kind, share):
    """Blocks of some types get a few bytes more for what is computed beforehand."""
    assert share == size_of(kind, (256, 64), AMX)


@pytest.mark.parametrize(
    ("kind", "shape", "share"),
    [("Q4_1", (256, 48), 0), ("Q4_0", (256, 48), 1), ("Q8_0", (256, 16), 0), ("Q4_1", (256, 64, 4), 0)],
)
def test_what_does_not_fit_amx_may_fit_the_other(kind, shape, share):
    """AMX wants rows by 32 and no experts; the rest has the order of the CPU's other instructions, or none."""
    assert share == size_of(kind, shape, AMX)


@pytest.mark.parametrize(
    ("kind", "shape", "share"), [("Q4_0", (256, 8), 1), ("Q4_0", (256, 12), 0), ("Q8_0", (256, 8), 0)]
)
def test_without_amx(kind, shape, share):
    """Rows by eight, and only of the types that the CPU wants in another order."""
    assert share == size_of(kind, shape, AVX2)
