"""A soak: random arrivals, lengths, forms and cancels for minutes, then a look at what was left behind."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.client import open_exchange, request_bytes
from benchmarks.contestants import Peers, Setup
from benchmarks.machine import describe
from benchmarks.plots import draw_memory
from benchmarks.processes import n_open_files, rss_bytes
from benchmarks.servers import Hoshikage
from benchmarks.soak_work import Drawing, fault, read_reply
from benchmarks.terminal import say

if TYPE_CHECKING:
    import argparse

    from benchmarks.soak_work import Request

CALLERS = 16
N_PARALLEL = 8
N_CTX = 4096  # little, so that requests wait, the kept text makes room, and answers are preempted
MEAN_PAUSE_S = 0.5
REQUEST_LIMIT_S = 120.0
WATCH_EVERY_S = 2.0
IDLE_LIMIT_S = 20.0
MOST_GROWTH = 1.05
MOST_GROWTH_BYTES = 24 * 2**20  # what allocators keep of their own
SHOWN_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Look:
    """The server and its worker at one moment."""

    at_s: float
    server_rss: int
    worker_rss: int
    server_files: int
    worker_files: int


@dataclass(slots=True)
class Soak:
    """What has happened so far."""

    requests: Counter[str] = field(default_factory=Counter)
    n_ended: int = 0
    n_faults: int = 0
    faults: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def note(self, request: Request, what: str) -> None:
        """Keep a fault."""
        self.n_faults += 1
        if len(self.faults) < SHOWN_FAULTS:
            self.faults.append(f"{request.kind}: {what}")


def add_soak_arguments(parser: argparse.ArgumentParser, pages: Path) -> None:
    """The arguments of the command."""
    parser.add_argument("--minutes", type=float, default=10.0, help="of load, the first sixth of it to warm up")
    parser.add_argument("--callers", type=int, default=CALLERS, help="who ask at the same time")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other requests")
    parser.add_argument("--output", type=Path, default=pages, help="folder of soak.json and soak.png")


async def run_soak(arguments: argparse.Namespace) -> int:
    """Soak, write what was found. Returns 1 if anything is wrong."""
    model = arguments.model.resolve()
    with tempfile.TemporaryDirectory(prefix="hoshikage-soak-") as folder:
        ours = Hoshikage(Setup(model, Path(folder), N_CTX, arguments.threads, N_PARALLEL))
        try:
            await ours.start()
            soak, warm, end, status = await _soak(ours, arguments)
        finally:
            await ours.stop()
    found = checks(soak, warm, end, status)
    report = {
        "minutes": arguments.minutes,
        "seed": arguments.seed,
        "machine": describe(model, Peers(), arguments.threads),
        "requests": dict(soak.requests),
        "checks": {name: {"ok": ok, "found": text} for name, (ok, text) in found.items()},
        "faults": soak.faults,
        "counters": status.get("counters"),
        "looks": [{name: getattr(look, name) for name in Look.__slots__} for look in soak.looks],
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "soak.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    draw_memory(report["looks"], arguments.output / "soak.png")
    for name, (ok, text) in found.items():
        say(f"{'ok     ' if ok else 'FAILED '} {name}: {text}")
    for line in soak.faults:
        say(f"  {line}")
    return 0 if all(ok for ok, _ in found.values()) else 1


async def _soak(ours: Hoshikage, arguments: argparse.Namespace) -> tuple[Soak, Look, Look, dict[str, Any]]:
    """Load, rest, look, load, rest, look."""
    soak = Soak()
    load_s, callers, seed = arguments.minutes * 60, arguments.callers, arguments.seed
    watch = asyncio.create_task(_watch(ours, soak), name="watch")
    try:
        await _load(ours, soak, load_s / 6, callers=callers, seed=seed)
        await _rest(ours)
        warm = await _look(ours, soak)
        await _load(ours, soak, load_s * 5 / 6, callers=callers, seed=seed + 1)
        status = await _rest(ours)
        return soak, warm, await _look(ours, soak), status
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _load(ours: Hoshikage, soak: Soak, load_s: float, *, callers: int, seed: int) -> None:
    until = time.monotonic() + load_s
    drawing = Drawing(seed, ours.model)
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(_caller(ours, soak, drawing, until))


async def _caller(ours: Hoshikage, soak: Soak, drawing: Drawing, until: float) -> None:
    while True:
        await asyncio.sleep(drawing.pause_s(MEAN_PAUSE_S))
        if time.monotonic() > until:
            return
        request = drawing.next()
        soak.requests[request.kind] += 1
        try:
            await _ask(ours, soak, request)
        except (OSError, TimeoutError) as error:
            soak.note(request, f"no answer: {error!r}")
        soak.n_ended += 1


async def _ask(ours: Hoshikage, soak: Soak, request: Request) -> None:
    data = request_bytes(f"{ours.url}/v1/chat/completions", request.body)
    exchange = await open_exchange(ours.url, data, stop_after=request.stop_after)
    if request.leave_s:
        asyncio.get_running_loop().call_later(request.leave_s, exchange.cancel)
    try:
        async with asyncio.timeout(REQUEST_LIMIT_S):
            await exchange.done
    finally:
        exchange.cancel()
    if not exchange.cut and (what := fault(request, read_reply(exchange))):
        soak.note(request, what)


async def _rest(ours: Hoshikage) -> dict[str, Any]:
    """Wait until nothing runs any more. Returns the last status, whatever it says."""
    deadline = time.monotonic() + IDLE_LIMIT_S
    while True:
        status = await ours.status()
        counters = status.get("counters") or {}
        busy = status.get("running", 0) or any(counters.get(name) for name in ("running", "waiting", "cells_used"))
        if not busy or time.monotonic() > deadline:
            return status
        await asyncio.sleep(0.2)


async def _watch(ours: Hoshikage, soak: Soak) -> None:
    last = 0.0
    while True:
        await _look(ours, soak)
        if time.monotonic() - last > 30:
            last = time.monotonic()
            say(
                f"{last - soak.began:5.0f} s  {sum(soak.requests.values())} requests, {soak.n_ended} ended, "
                f"{soak.n_faults} faults, worker {soak.looks[-1].worker_rss / 2**20:.0f} MiB"
            )
        await asyncio.sleep(WATCH_EVERY_S)


async def _look(ours: Hoshikage, soak: Soak) -> Look:
    assert ours.child is not None
    server, *others = ours.child.tree
    worker = max(others, key=rss_bytes, default=0)
    look = Look(
        round(time.monotonic() - soak.began, 1),
        rss_bytes(server),
        rss_bytes(worker),
        n_open_files(server),
        n_open_files(worker),
    )
    soak.looks.append(look)
    return look


def checks(soak: Soak, warm: Look, end: Look, status: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """Every promise, whether it was kept, and what was found."""
    counters = status.get("counters")
    total = sum(soak.requests.values())
    found = {
        "answers": (soak.n_faults == 0 and total > 0, f"{soak.n_faults} faults in {total} requests"),
        "sequences": (
            not status.get("running", 0) and _none(counters, "running", "waiting"),
            "running or waiting at rest: " + _told(counters, "running", "waiting"),
        ),
        "cells": (_none(counters, "cells_used"), "cells in use at rest: " + _told(counters, "cells_used")),
    }
    for who in ("server", "worker"):
        before, after = getattr(warm, f"{who}_files"), getattr(end, f"{who}_files")
        found[f"file handles of the {who}"] = (0 < after <= before, f"{before} after warming up, {after} at the end")
        before, after = getattr(warm, f"{who}_rss"), getattr(end, f"{who}_rss")
        found[f"memory of the {who}"] = (
            0 < after <= before * MOST_GROWTH + MOST_GROWTH_BYTES,
            f"{before / 2**20:.0f} MiB after warming up, {after / 2**20:.0f} MiB at the end",
        )
    return found


def _none(counters: dict[str, Any] | None, *names: str) -> bool:
    return counters is not None and not any(counters[name] for name in names)


def _told(counters: dict[str, Any] | None, *names: str) -> str:
    return "not reported" if counters is None else ", ".join(str(counters[name]) for name in names)
