"""`python -m benchmarks swap`: the arguments, the ground, the measuring."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import ROOT, Peers
from benchmarks.machine import describe
from benchmarks.pages import Pages, add_form_arguments, measure
from benchmarks.rows import chosen_rows
from benchmarks.rows.base import Surroundings
from benchmarks.swap.ground import Ground, ram_folder
from benchmarks.swap.page import markdown
from benchmarks.swap.plot import draw
from benchmarks.swap.rows import swap_rows
from benchmarks.terminal import say
from benchmarks.tokenizer import Tokenizer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

GEMMA = ROOT / "models" / "gemma-3-270m-q4_k_m.gguf"
RAM_DISK = Path("/dev", "shm")
FULL_LIMIT_MINUTES = 25.0
SHORT_LIMIT_MINUTES = 3.0
BIG_GIB, SHORT_BIG_GIB = 4.0, 0.0625


def add_swap_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add_form_arguments(parser, limit_minutes=FULL_LIMIT_MINUTES)
    folder = Path(os.environ.get("TMPDIR") or tempfile.gettempdir()) / "hoshikage-bench-big"
    parser.add_argument("--gemma", type=Path, default=GEMMA, help="the second GGUF file")
    parser.add_argument(
        "--big-gib", type=float, default=0.0, help=f"size of the generated file, instead of {BIG_GIB:g}"
    )
    parser.add_argument("--big-folder", type=Path, default=folder, help="where it is generated; on a real disk")
    parser.add_argument("--keep-big", action="store_true", help="leave it there for the next run")
    parser.add_argument("--ram-folder", type=Path, default=RAM_DISK, help="the RAM disk to stage on")


async def run_swap(arguments: argparse.Namespace) -> int:
    """Measure, and write the page."""
    if not arguments.gemma.is_file():
        sys.exit(f"error: {arguments.gemma} is missing: run `make models`, or name another file with --gemma")
    short = arguments.short
    # The short form only shows that our own part works.
    peers = dataclasses.replace(Peers.from_environment(), llama_bench="")
    peers = Peers() if short else peers
    with _ground(arguments) as ground, tempfile.TemporaryDirectory(prefix="hoshikage-bench-") as folder:
        every = swap_rows(ground)
        if arguments.list:
            say("\n".join(f"{row.name:<16} {row.title}" for row in every))
            return 0
        try:
            rows = chosen_rows(arguments.rows, every)
        except ValueError as error:
            sys.exit(f"error: {error}")
        say(f"LLAMA_SERVER: {peers.llama_server or 'not given, left out'}")
        pages = Pages("swap", [row.name for row in every], draw, markdown)
        model = ground.smollm2
        around = Surroundings(model, Path(folder), Tokenizer(model), peers, arguments.threads, short=short)
        machine = swap_machine(describe(model, peers, arguments.threads), ground)
        limit = SHORT_LIMIT_MINUTES if short else FULL_LIMIT_MINUTES
        return await measure(arguments, pages, rows, around, machine, limit_minutes=limit)


@contextlib.contextmanager
def _ground(arguments: argparse.Namespace) -> Iterator[Ground]:
    """The files and places; what is this run's own is removed at the end."""
    size = int((arguments.big_gib or (SHORT_BIG_GIB if arguments.short else BIG_GIB)) * 2**30)
    big = arguments.big_folder.resolve() / f"generated-{size // 2**20}-mib.gguf"
    with ram_folder(arguments.ram_folder) as ram:
        try:
            yield Ground(arguments.model.resolve(), arguments.gemma.resolve(), big, size, ram)
        finally:
            if not arguments.keep_big:
                big.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it may hold files of other sizes
                    big.parent.rmdir()


def swap_machine(machine: dict[str, Any], ground: Ground) -> dict[str, Any]:
    """The machine, with what matters here besides."""
    with ground.gemma.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {
        **machine,
        "second_model": ground.gemma.name,
        "second_model_sha256": digest,
        "ram_disk": f"{ground.ram_free() / 2**30:.1f} GiB free" if ground.ram_folder else "none",
        "big_file_on": file_system_of(ground.big.parent, Path("/proc/self/mounts").read_text()),
    }


def file_system_of(folder: Path, mounts: str) -> str:
    """The device and kind of the file system that a folder is, or will be, on."""
    found = ("", "unknown")
    for line in mounts.splitlines():
        device, point, kind = line.split()[:3]
        # A later mount hides an earlier one at the same place.
        if folder.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, f"{device}, {kind}")
    return found[1]
