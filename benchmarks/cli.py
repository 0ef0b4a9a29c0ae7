"""The command line: `python -m benchmarks`, and `soak`, `swap` or `memory` after it."""

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
from benchmarks.memory.command import add_memory_arguments, run_memory
from benchmarks.pages import PAGES, Pages, add_form_arguments, measure, say_peers
from benchmarks.plots import draw
from benchmarks.report import markdown
from benchmarks.rows import all_rows, chosen_rows
from benchmarks.rows.base import Surroundings
from benchmarks.soak import add_soak_arguments, run_soak
from benchmarks.swap.command import add_swap_arguments, run_swap
from benchmarks.terminal import say
from benchmarks.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
FULL_LIMIT_MINUTES = 30.0
SHORT_LIMIT_MINUTES = 2.0
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
    add_form_arguments(top, limit_minutes=FULL_LIMIT_MINUTES)
    top.add_argument("--fresh", action="store_true", help="start a contestant anew for every measurement")
    commands = top.add_subparsers(metavar="")
    soak = commands.add_parser("soak", parents=[common], help="random load on our own server, then look for leaks")
    add_soak_arguments(soak, PAGES)
    soak.set_defaults(run=run_soak)
    swap = commands.add_parser("swap", parents=[common], help="what it costs to change, to stop and to load models")
    add_swap_arguments(swap)
    swap.set_defaults(run=run_swap, fresh=False)
    memory = commands.add_parser("memory", parents=[common], help="how well and how fast long-term memory finds")
    add_memory_arguments(memory)
    memory.set_defaults(run=run_memory)
    return top


async def run_rows(arguments: argparse.Namespace) -> int:
    """Measure rows, and write the pages."""
    if arguments.list:
        say("\n".join(f"{row.name:<16} {row.title}" for row in all_rows()))
        return 0
    short = arguments.short
    try:
        rows = chosen_rows(arguments.rows or (SHORT_ROWS if short else []), all_rows())
    except ValueError as error:
        sys.exit(f"error: {error}")
    peers = Peers.from_environment()
    say_peers(peers)
    model = arguments.model.resolve()
    with tempfile.TemporaryDirectory(prefix="hoshikage-bench-") as folder:
        around = Surroundings(model, Path(folder), Tokenizer(model), peers, arguments.threads, short=short)
        limit = SHORT_LIMIT_MINUTES if short else FULL_LIMIT_MINUTES
        machine = describe(model, peers, arguments.threads)
        return await measure(arguments, results_pages(), rows, around, machine, limit_minutes=limit)


def results_pages() -> Pages:
    """The pages of `make bench`."""
    return Pages(
        "results", [row.name for row in all_rows()], draw, lambda found, plots, _: markdown(found, plots=plots)
    )


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
