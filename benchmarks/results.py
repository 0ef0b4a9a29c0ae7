"""What a run has found, and its file: written anew after every row, so that an interruption loses one row at most."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Sample, figure, medians
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Figure
    from benchmarks.rows.base import Row


@dataclass(slots=True)
class RowResult:
    """The samples of one row.

    Attributes:
        headline: the values worth a column, each with its unit.
        notes: what a reader must know: who was left out, and why.
    """

    name: str
    title: str
    headline: list[tuple[str, str]]
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, row: Row) -> RowResult:
        """A row without samples yet."""
        return cls(row.name, row.title, list(row.headline))

    @property
    def good(self) -> list[Sample]:
        """The samples that have values."""
        return [sample for sample in self.samples if not sample.error]

    @property
    def n_rounds(self) -> int:
        """The most rounds that any contestant completed."""
        return max(
            (sum(s.contestant == who for s in self.good) for who in {s.contestant for s in self.good}), default=0
        )


@dataclass(slots=True)
class Results:
    """A whole run."""

    machine: dict[str, Any]
    form: str
    rows: list[RowResult] = field(default_factory=list)
    llama_bench: list[dict[str, Any]] = field(default_factory=list)
    began_at: float = field(default_factory=time.time)
    minutes: float = 0.0
    complete: bool = False

    def figures(self) -> list[Figure]:
        """What became of every target whose row was run."""
        rows = {row.name: row.good for row in self.rows}
        return [figure(target, rows) for target in TARGETS if target.row in rows]

    def as_json(self) -> dict[str, Any]:
        """Everything, raw samples included."""
        whole = dataclasses.asdict(self)
        for row, result in zip(whole["rows"], self.rows, strict=True):
            row["medians"] = medians(result.good)
        whole["figures"] = [
            {**dataclasses.asdict(f.target), "rounds": f.rounds, "median": f.value, "met": f.met}
            for f in self.figures()
        ]
        return whole

    def write(self, file: Path) -> None:
        """Write the JSON file, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps(_rounded(self.as_json()), indent=1, ensure_ascii=False) + "\n")
        beside.replace(file)


def _rounded(value: Any) -> Any:
    """Six significant digits are more than any clock here has."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) < 1e6 else value
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
