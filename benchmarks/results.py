"""What a run has found, and its file: written anew after every row, so that an interruption loses one row at most."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.figures import Sample, figure, medians
from benchmarks.memory.targets import MEMORY_TARGETS
from benchmarks.swap.targets import SWAP_TARGETS
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Figure
    from benchmarks.rows.base import Row

SAME = ("cpu", "cores", "model_sha256", "n_threads", "llama_cpp_python", "llama_server")


@dataclass(slots=True)
class RowResult:
    """The samples of one row.

    Attributes:
        headline: the values worth a column, each with its unit.
        notes: what a reader must know: who was left out, and why.
        began_at: when it was measured, in seconds since the epoch.
        absent: contestants that did not start.
    """

    name: str
    title: str
    headline: list[tuple[str, str]]
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began_at: float = field(default_factory=time.time)
    absent: list[str] = field(default_factory=list)

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

    @classmethod
    def read(cls, file: Path) -> Results:
        """What an earlier run has written.

        Raises:
            OSError: there is no such file.
            ValueError: it holds something else.
        """
        return msgspec.json.decode(file.read_bytes(), type=cls)

    def take_over(self, earlier: Results, names: set[str]) -> None:
        """Keep rows of an earlier run of the same form on the same machine.

        Raises:
            ValueError: it was another machine, model or form.
        """
        for name in SAME:
            if earlier.machine.get(name) != self.machine.get(name):
                raise ValueError(f"the rows to keep are of another {name}: {earlier.machine.get(name)!r}")
        if earlier.form != self.form:
            raise ValueError(f"the rows to keep are of the {earlier.form} form")
        self.rows = [row for row in earlier.rows if row.name in names] + self.rows

    def figures(self) -> list[Figure]:
        """What became of every target whose row was run."""
        rows = {row.name: row.good for row in self.rows}
        return [figure(target, rows) for target in (*TARGETS, *SWAP_TARGETS, *MEMORY_TARGETS) if target.row in rows]

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
