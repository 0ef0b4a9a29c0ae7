"""The command line: `python -m benchmarks`, and `python -m benchmarks soak`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT, Peers
from benchmarks.machine import describe
from benchmarks.plots import draw
from benchmarks.report import figures_table, markdown
from benchmarks.results import Results
from benchmarks.rows import all_rows, chosen_rows
from benchmarks.rows.base import FULL_ROUNDS, Surroundings
from benchmarks.run import Plan, Run
from benchmarks.soak import add_soak_arguments, run_soak
from benchmarks.terminal import say
from benchmarks.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
PAGES = ROOT / "docs" / "benchmarks"
FULL_LIMIT_MINUTES = 30.0
SHORT_LIMIT_MINUTES = 2.0
SHORT_ROUNDS = 1
SHORT_ROWS = ["streams-1", "streams-4", "conversations", "long-prompt", "lookup-edit", "schema", "embeddings"]
INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """Run what the arguments say. Returns the exit status: 1 where nothing could be measured, 130 if interrupted."""
    arguments = parser().parse_args(words)
    if not arguments.model.is_file():
        sys.exit(f"error: {arguments.model} is missing: run `make model`, or name another file with --model")
    try:
        return _run_to_the_end(arguments.run(arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted; what was complete is written")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", type=Path, default=MODEL, help="GGUF file with a ChatML template")
    common.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="for everybody alike")
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, parents=[common])
    top.set_defaults(run=run_rows)
    form = top.add_mutually_exclusive_group()
    form.add_argument("--full", action="store_true", help=f"all rows, {FULL_ROUNDS} rounds (the default)")
    form.add_argument("--short", action="store_true", help="only to see that it works; its figures mean nothing")
    top.add_argument(
        "--rows", type=lambda text: text.split(","), default=[], help="names or their beginnings, with commas"
    )
    top.add_argument("--keep", action="store_true", help="keep the other rows of the page that is there")
    top.add_argument("--rounds", type=int, default=0, help=f"instead of {FULL_ROUNDS} (short: {SHORT_ROUNDS})")
    top.add_argument("--limit-minutes", type=float, default=0.0, help=f"instead of {FULL_LIMIT_MINUTES:g}")
    top.add_argument("--fresh", action="store_true", help="start a contestant anew for every measurement")
    top.add_argument("--output", type=Path, default=PAGES, help="the folder of the pages (short: a temporary one)")
    top.add_argument("--list", action="store_true", help="list the rows and end")
    commands = top.add_subparsers(metavar="")
    soak = commands.add_parser("soak", parents=[common], help="random load on our own server, then look for leaks")
    add_soak_arguments(soak, PAGES)
    soak.set_defaults(run=run_soak)
    return top


async def run_rows(arguments: argparse.Namespace) -> int:
    """Measure rows, and write the pages."""
    if arguments.list:
        say("\n".join(f"{row.name:<16} {row.title}" for row in all_rows()))
        return 0
    short = arguments.short
    try:
        rows = chosen_rows(arguments.rows or (SHORT_ROWS if short else []))
    except ValueError as error:
        sys.exit(f"error: {error}")
    peers = Peers.from_environment()
    with tempfile.TemporaryDirectory(prefix="hoshikage-bench-") as folder:
        output = (
            Path(tempfile.mkdtemp(prefix="hoshikage-bench-pages-"))
            if short and arguments.output == PAGES
            else arguments.output
        )
        model = arguments.model.resolve()
        around = Surroundings(model, Path(folder), Tokenizer(model), peers, arguments.threads, short=short)
        results = Results(describe(model, peers, arguments.threads), "short" if short else "full")
        if arguments.keep:
            _keep(results, output / "results.json", {row.name for row in all_rows()} - {row.name for row in rows})
        limit = arguments.limit_minutes or (SHORT_LIMIT_MINUTES if short else FULL_LIMIT_MINUTES)
        plan = Plan(rows, arguments.rounds or (SHORT_ROUNDS if short else FULL_ROUNDS), limit * 60, arguments.fresh)
        _say_peers(peers)
        try:
            await Run(plan, around, results, tell=say, save=lambda: _save(results, output)).whole()
        finally:
            write_pages(results, output)
    say(f"\n{figures_table(results.figures())}\n\nwritten: {output}")
    return exit_status(results)


def exit_status(results: Results) -> int:
    """The short form shows that everything works, so nothing may fail; a full run is worth what it has found."""
    if results.form == "short":
        whole = all(row.good and not any(sample.error for sample in row.samples) for row in results.rows)
        return 0 if results.complete and whole else 1
    return 0 if any(row.good for row in results.rows) else 1


def write_pages(results: Results, output: Path) -> None:
    """The JSON file, the pictures and the page."""
    _save(results, output)
    plots = draw(results, output)
    (output / "results.md").write_text(markdown(results, plots=plots))


def _save(results: Results, output: Path) -> None:
    order = [row.name for row in all_rows()]
    results.rows.sort(key=lambda row: order.index(row.name))
    results.write(output / "results.json")


def _keep(results: Results, file: Path, names: set[str]) -> None:
    """Take over what is measured already."""
    try:
        results.take_over(Results.read(file), names)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {file}: {error}; leave out --keep to write new pages")


def _say_peers(peers: Peers) -> None:
    for variable, value in (
        ("LLAMA_SERVER", peers.llama_server),
        ("LLAMA_BENCH", peers.llama_bench),
        ("LLAMA_CPP_PYTHON", peers.packaged_python),
        ("LLAMA_CPP_EXAMPLE", peers.example_server),
    ):
        say(f"{variable}: {value or 'not given, left out'}")


def _run_to_the_end(work: Coroutine[Any, Any, int]) -> int:
    """Run on the fast event loop; SIGTERM ends it as Ctrl-C does, children included."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        async def whole() -> int:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
            return await work

        return runner.run(whole())
