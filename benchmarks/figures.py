"""The arithmetic: medians, percentiles, and ratios of what was measured in the same round."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Bound = Literal["at least", "at most"]
Relation = Literal["ratio", "difference"]
OURS = "hoshikage"


@dataclass(slots=True)
class Sample:
    """One measurement of one contestant in one round.

    Attributes:
        values: what was measured, by name.
        detail: further things for the results file alone.
        client_cpu_s: what the load generator itself used meanwhile.
        others_cpu_s: what the contestants used whose turn it was not; they must be quiet.
        error: why there are no values.
    """

    contestant: str
    round: int
    values: dict[str, float] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    client_cpu_s: float = 0.0
    others_cpu_s: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must be reached.

    Attributes:
        row: the row whose samples it is made of.
        value: which of their values.
        against: whose value it is divided by; empty for a value that stands alone.
        of: whose value it is.
        relation: whether the other value is divided by, or taken off.
    """

    row: str
    title: str
    value: str
    bound: Bound
    limit: float
    against: str = ""
    of: str = OURS
    relation: Relation = "ratio"


@dataclass(frozen=True, slots=True)
class Figure:
    """What became of a target: the median over the rounds, and each round."""

    target: Target
    rounds: list[float]

    @property
    def value(self) -> float | None:
        """The median; `None` where nothing was measured."""
        return statistics.median(self.rounds) if self.rounds else None

    @property
    def met(self) -> bool | None:
        """Whether it was reached; `None` where nothing was measured."""
        value = self.value
        if value is None:
            return None
        return value >= self.target.limit if self.target.bound == "at least" else value <= self.target.limit


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie, interpolated between neighbours."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def medians(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Per contestant the median of every value over the rounds."""
    collected: dict[str, dict[str, list[float]]] = {}
    for sample in samples:
        mine = collected.setdefault(sample.contestant, {})
        for name, value in sample.values.items():
            mine.setdefault(name, []).append(value)
    return {who: {name: statistics.median(v) for name, v in values.items()} for who, values in collected.items()}


def rounds_of(samples: Sequence[Sample], contestant: str, value: str) -> dict[int, float]:
    """A contestant's value in each round that has one."""
    return {s.round: s.values[value] for s in samples if s.contestant == contestant and value in s.values}


def figure(target: Target, rows: Mapping[str, Sequence[Sample]]) -> Figure:
    """Make a target's figure: round by round, so that a slow minute of the machine touches both sides of a ratio."""
    samples = rows.get(target.row, ())
    mine = rounds_of(samples, target.of, target.value)
    if not target.against:
        return Figure(target, list(mine.values()))
    theirs = rounds_of(samples, target.against, target.value)
    if target.relation == "difference":
        return Figure(target, [mine[n] - theirs[n] for n in mine if n in theirs])
    return Figure(target, [mine[n] / theirs[n] for n in mine if theirs.get(n)])
