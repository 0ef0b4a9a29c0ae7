"""One run: every row in turn, its contestants in alternation, each measurement with a limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import Sample
from benchmarks.processes import StartFailed
from benchmarks.results import Results, RowResult
from benchmarks.rows.base import FULL_ROUNDS, MeasureFailed
from benchmarks.validity import NoJudge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from benchmarks.contestants import Contestant
    from benchmarks.rows.base import Entry, Row, Surroundings

SAMPLE_LIMIT_S = 240.0
LLAMA_BENCH_LIMIT_S = 90.0
MOST_FAILURES = 2  # then a contestant is out of the row

EXPECTED = (MeasureFailed, NoJudge, StartFailed, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    Attributes:
        limit_s: no new round is begun after this.
        fresh: whether every measurement gets a newly started contestant.
    """

    rows: list[Row]
    rounds: int
    limit_s: float
    fresh: bool


class Run:
    """Takes the measurements; `tell` gets a line of progress, `save` the results after each row."""

    def __init__(
        self,
        plan: Plan,
        around: Surroundings,
        results: Results,
        *,
        tell: Callable[[str], None],
        save: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._around = around
        self._results = results
        self._tell = tell
        self._save = save
        self._began = time.monotonic()

    async def whole(self) -> None:
        """Run everything; what failed is noted, and the rest goes on."""
        await self._llama_bench()
        for row in self._plan.rows:
            if self._time_is_over():
                self._tell(f"{row.name}: left out, the time is over")
                continue
            result = RowResult.of(row)
            self._results.rows.append(result)
            try:
                await self._row(row, result)
            finally:
                self._results.minutes = (time.monotonic() - self._began) / 60
                self._save()
        self._results.complete = {row.name for row in self._plan.rows} <= {row.name for row in self._results.rows}
        self._save()

    def _time_is_over(self) -> bool:
        return time.monotonic() - self._began > self._plan.limit_s

    async def _row(self, row: Row, result: RowResult) -> None:
        self._tell(f"\n{row.name}: {row.title}")
        sides = row.entries(self._around)
        result.notes += row.remarks()
        rounds = min(self._plan.rounds, row.most_rounds)
        if rounds < self._plan.rounds:
            result.notes.append(f"{rounds} rounds instead of {FULL_ROUNDS}, for the sake of time")
        async with self._started(sides, result) as entries:
            failures: dict[str, int] = {}
            for number in range(1, rounds + 1):
                if self._time_is_over():
                    result.notes.append(f"ended after {number - 1} rounds: the time was over")
                    break
                # A different one begins each round, so that no place in the order is an advantage.
                turn = number % max(len(entries), 1)
                for entry in (*entries[turn:], *entries[:turn]):
                    if number > entry.rounds or failures.get(entry.label, 0) >= MOST_FAILURES:
                        continue
                    sample = await self._sample(row, entry, number, entries)
                    result.samples.append(sample)
                    failures[entry.label] = failures.get(entry.label, 0) + bool(sample.error)
                    self._tell(f"  round {number}/{rounds}  {entry.label:<26} {_shown(row, sample)}")

    @contextlib.asynccontextmanager
    async def _started(self, entries: list[Entry], result: RowResult) -> AsyncIterator[list[Entry]]:
        """Start all contestants of a row; they stay up, and idle, while it is not their turn."""
        contestants = list({id(entry.contestant): entry.contestant for entry in entries}.values())
        down: set[int] = set()
        try:
            for contestant in contestants:
                try:
                    await contestant.start()
                except EXPECTED as error:
                    down.add(id(contestant))
                    result.absent.append(contestant.name)
                    result.notes.append(f"{contestant.name} did not start: {_reason(error)}")
                    self._tell(f"  {result.notes[-1]}")
            yield [entry for entry in entries if id(entry.contestant) not in down]
        finally:
            await asyncio.shield(_stop_all(contestants))

    async def _sample(self, row: Row, entry: Entry, number: int, entries: list[Entry]) -> Sample:
        """Take one measurement, and note what everybody else used of the processor meanwhile."""
        sample = Sample(entry.label, number)
        others = {id(e.contestant): e.contestant for e in entries if e.contestant is not entry.contestant}
        try:
            if self._plan.fresh or not entry.contestant.running:
                await entry.contestant.stop()
                await entry.contestant.start()
            elif row.cold:
                await entry.contestant.forget()
            before, client_before = sum(c.used_cpu_s() for c in others.values()), time.process_time()
            async with asyncio.timeout(SAMPLE_LIMIT_S):
                measured = await row.measure(entry, number, self._around)
            sample.client_cpu_s = time.process_time() - client_before
            sample.others_cpu_s = sum(c.used_cpu_s() for c in others.values()) - before
            sample.values, sample.detail = measured.values, measured.detail
        except EXPECTED as error:
            sample.error = _reason(error)
            # Whatever it was doing must not run into the turn of the next one.
            await entry.contestant.stop()
        return sample

    async def _llama_bench(self) -> None:
        """What llama.cpp's own benchmark says of this machine, for the record."""
        binary = self._around.peers.llama_bench
        if not binary:
            return
        self._tell("llama-bench")
        rounds = 1 if self._around.short else FULL_ROUNDS
        command = [
            binary,
            "-m",
            str(self._around.model),
            "-t",
            str(self._around.n_threads),
            "-p",
            "51",
            "-n",
            "64",
            "-r",
            str(rounds),
            "-o",
            "json",
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(LLAMA_BENCH_LIMIT_S):
                output, _ = await process.communicate()
            self._results.llama_bench = [
                {key: entry[key] for key in ("n_prompt", "n_gen", "avg_ts", "stddev_ts", "samples_ts")}
                for entry in json.loads(output)
            ]
        except (TimeoutError, ValueError, KeyError) as error:
            self._tell(f"  llama-bench gave nothing: {_reason(error)}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _stop_all(contestants: list[Contestant]) -> None:
    await asyncio.gather(*(contestant.stop() for contestant in contestants), return_exceptions=True)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _shown(row: Row, sample: Sample) -> str:
    if sample.error:
        return f"failed: {sample.error[:200]}"
    shown = [f"{name} {sample.values[name]:.4g}" for name, _ in row.headline if name in sample.values]
    return "  ".join([*shown, f"(client {sample.client_cpu_s:.2f} s of processor)"])
