"""The files that a command writes, and the measuring that fills them."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT
from benchmarks.report import figures_table
from benchmarks.results import Results
from benchmarks.rows.base import FULL_ROUNDS
from benchmarks.run import Plan, Run
from benchmarks.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from benchmarks.contestants import Peers
    from benchmarks.results import RowResult
    from benchmarks.rows.base import Row, Surroundings

PAGES = ROOT / "docs" / "benchmarks"
SHORT_ROUNDS = 1


@dataclass(frozen=True, slots=True)
class Pages:
    """NAME.json, NAME.md and pictures.

    Attributes:
        order: the names of all rows that there can be, as they stand on the page.
        draw: draws the pictures into a folder, and returns their names.
        markdown: writes the page, given the pictures and the page that is there so far.
    """

    name: str
    order: list[str]
    draw: Callable[[Results, Path], list[str]]
    markdown: Callable[[Results, list[str], str], str]

    def save(self, results: Results, output: Path) -> None:
        """Write the JSON file."""
        results.rows.sort(key=lambda row: self.order.index(row.name))
        results.write(output / f"{self.name}.json")

    def write(self, results: Results, output: Path) -> None:
        """Write everything."""
        self.save(results, output)
        plots = self.draw(results, output)
        page = output / f"{self.name}.md"
        page.write_text(self.markdown(results, plots, page.read_text() if page.is_file() else ""))

    def keep(self, results: Results, output: Path, names: set[str]) -> None:
        """Take over what is measured already."""
        file = output / f"{self.name}.json"
        try:
            results.take_over(Results.read(file), names)
        except (OSError, ValueError) as error:
            sys.exit(f"error: {file}: {error}; leave out --keep to write new pages")


def add_form_arguments(parser: argparse.ArgumentParser, *, limit_minutes: float) -> None:
    """The arguments of everything that measures rows."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--full", action="store_true", help=f"all rows, {FULL_ROUNDS} rounds (the default)")
    form.add_argument("--short", action="store_true", help="only to see that it works; its figures mean nothing")
    parser.add_argument(
        "--rows", type=lambda text: text.split(","), default=[], help="names or their beginnings, with commas"
    )
    parser.add_argument("--keep", action="store_true", help="keep the other rows of the page that is there")
    parser.add_argument("--rounds", type=int, default=0, help=f"instead of {FULL_ROUNDS} (short: {SHORT_ROUNDS})")
    parser.add_argument("--limit-minutes", type=float, default=0.0, help=f"instead of {limit_minutes:g}")
    parser.add_argument("--output", type=Path, default=PAGES, help="the folder of the pages (short: a temporary one)")
    parser.add_argument("--list", action="store_true", help="list the rows and end")


async def measure(
    arguments: argparse.Namespace,
    pages: Pages,
    rows: list[Row],
    around: Surroundings,
    machine: dict[str, Any],
    *,
    limit_minutes: float,
) -> int:
    """Measure rows, and write the pages. Returns the exit status."""
    short = around.short
    output: Path = arguments.output
    if short and output == PAGES:
        output = Path(tempfile.mkdtemp(prefix="hoshikage-bench-pages-"))
    results = Results(machine, "short" if short else "full")
    if arguments.keep:
        pages.keep(results, output, set(pages.order) - {row.name for row in rows})
    rounds = arguments.rounds or (SHORT_ROUNDS if short else FULL_ROUNDS)
    plan = Plan(rows, rounds, (arguments.limit_minutes or limit_minutes) * 60, arguments.fresh)
    try:
        await Run(plan, around, results, tell=say, save=lambda: pages.save(results, output)).whole()
    finally:
        pages.write(results, output)
    say(f"\n{figures_table(results.figures())}\n\nwritten: {output}")
    return exit_status(results)


def exit_status(results: Results) -> int:
    """The short form shows that everything works, so nothing may fail; a full run is worth what it has found."""
    if results.form == "short":
        return 0 if results.complete and all(map(_is_whole, results.rows)) else 1
    return 0 if any(row.good for row in results.rows) else 1


def _is_whole(row: RowResult) -> bool:
    return bool(row.good) and not row.absent and not any(sample.error for sample in row.samples)


def say_peers(peers: Peers) -> None:
    """Who takes part, and by which variable who is left out could."""
    for variable, value in (
        ("LLAMA_SERVER", peers.llama_server),
        ("LLAMA_BENCH", peers.llama_bench),
        ("LLAMA_CPP_PYTHON", peers.packaged_python),
        ("LLAMA_CPP_EXAMPLE", peers.example_server),
    ):
        say(f"{variable}: {value or 'not given, left out'}")
