"""What a row is here: something that is measured of memory, one sample after the other."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from benchmarks.results import RowResult
from benchmarks.terminal import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.figures import Sample
    from benchmarks.memory.ground import Ground


class NotHere(Exception):
    """What a row needs is not on this machine; the message says what."""


class MemoryRow(abc.ABC):
    """A kind of work.

    Attributes:
        headline: the values that the table shows, each with its unit.
        notes: what a reader must know, complete when the samples are.
    """

    name: str
    title: str
    headline: tuple[tuple[str, str], ...]

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.notes: list[str] = []

    @abc.abstractmethod
    def samples(self) -> AsyncIterator[Sample]:
        """Measure.

        Raises:
            NotHere: there is nothing to measure with.
        """

    async def measure(self, result: RowResult) -> None:
        """Fill a result, and tell of each sample.

        Raises:
            NotHere: there is nothing to measure with.
        """
        try:
            async for sample in self.samples():
                result.samples.append(sample)
                shown = [f"{n} {sample.values[n]:.4g}" for n, _ in self.headline if n in sample.values]
                say(f"  {sample.contestant:<44} {'  '.join(shown) or sample.error}")
        finally:
            result.notes += self.notes

    def result(self) -> RowResult:
        """An empty result."""
        return RowResult(self.name, self.title, list(self.headline))
