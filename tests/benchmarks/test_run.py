"""A run: alternation, limits, and what is kept when something fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.answers import Answer, Work
from benchmarks.cli import main, parser, results_pages
from benchmarks.contestants import Contestant, Peers, Setup
from benchmarks.figures import OURS, Sample
from benchmarks.pages import exit_status
from benchmarks.plots import margin
from benchmarks.processes import StartFailed
from benchmarks.report import column, number, row_section, table
from benchmarks.results import Results, RowResult
from benchmarks.rows.base import Entry, Measured, MeasureFailed, Row, Surroundings
from benchmarks.run import Plan, Run

MACHINE: dict[str, Any] = {
    "cpu": "A CPU", "cores": 2, "cpu_flags": ["avx2"], "memory_gib": 8.0, "load_average": [0.1], "system": "Linux",
    "python": "3.11", "hoshikage": "0", "llama_cpp_python": "0", "llama_cpp_features": "AVX2 = 1", "llama_server": "",
    "model": "m.gguf", "model_sha256": "0" * 64, "n_threads": 2,
}  # fmt: skip


class FakeContestant(Contestant):
    """Answers nothing, but remembers what was asked of it."""

    def __init__(self, name: str, setup: Setup, events: list[str], *, starts: bool = True) -> None:
        super().__init__(setup)
        self.name = name
        self.events = events
        self.up = False
        self._starts = starts

    @property
    def running(self) -> bool:
        return self.up

    async def start(self) -> None:
        if not self._starts:
            raise StartFailed("no such binary")
        self.up = True
        self.events.append(f"start {self.name}")

    async def stop(self) -> None:
        if self.up:
            self.events.append(f"stop {self.name}")
        self.up = False

    async def answer(self, works: list[Work]) -> list[Answer]:
        return []


class FakeRow(Row):
    """Measures what its function says."""

    name = "streams-4"
    title = "A row"
    headline = (("tokens_per_s", "tokens/s"),)

    def __init__(self, entries: list[Entry], value: Callable[[Entry, int], float], most_rounds: int = 1000) -> None:
        self._entries = entries
        self._value = value
        self.most_rounds = most_rounds

    def entries(self, around: Surroundings) -> list[Entry]:
        return self._entries

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        entry.contestant.events.append(f"{entry.label}{round_number}")
        return Measured({"tokens_per_s": self._value(entry, round_number)})


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def entries(tmp_path: Path, events: list[str]) -> list[Entry]:
    setup = Setup(tmp_path, tmp_path)
    return [Entry(name, FakeContestant(name, setup, events)) for name in (OURS, "bare")]


def run_of(row: Row, tmp_path: Path, *, rounds: int = 3, limit_s: float = 60.0, saves: list[int] | None = None) -> Run:
    around = Surroundings(tmp_path, tmp_path, None, Peers(), 2, short=False)
    results = Results(MACHINE, "full")
    kept = [] if saves is None else saves
    return Run(
        Plan([row], rounds, limit_s, fresh=False), around, results, tell=lambda _: None,
        save=lambda: kept.append(sum(len(r.samples) for r in results.rows)),
    )  # fmt: skip


def results_of(run: Run) -> Results:
    return run._results


async def test_contestants_alternate_and_take_turns_at_beginning(
    tmp_path: Path, entries: list[Entry], events: list[str]
):
    """All start once, no one is always first, and all are stopped."""
    await run_of(FakeRow(entries, lambda *_: 1.0), tmp_path).whole()

    assert events[:2] == ["start hoshikage", "start bare"]
    assert events[2:8] == ["bare1", "hoshikage1", "hoshikage2", "bare2", "bare3", "hoshikage3"]
    assert set(events[8:]) == {"stop hoshikage", "stop bare"}


async def test_in_a_cold_row_everybody_forgets_before_each_measurement(
    tmp_path: Path, entries: list[Entry], events: list[str]
):
    """A contestant that knows no other way is started anew."""
    row = FakeRow(entries, lambda *_: 1.0)
    row.cold = True
    await run_of(row, tmp_path, rounds=1).whole()

    anew = ["stop bare", "start bare", "bare1", "stop hoshikage", "start hoshikage", "hoshikage1"]
    assert anew == events[2:8]


async def test_who_does_not_start_is_left_out_and_named(tmp_path: Path, entries: list[Entry], events: list[str]):
    """The others are measured."""
    absent = Entry("peer", FakeContestant("peer", Setup(tmp_path, tmp_path), events, starts=False))
    run = run_of(FakeRow([*entries, absent], lambda *_: 1.0), tmp_path)
    await run.whole()
    (row,) = results_of(run).rows

    assert (["peer did not start: no such binary"], ["peer"]) == (row.notes, row.absent)
    assert 6 == len(row.good)


async def test_a_failure_is_kept_and_the_contestant_started_anew(
    tmp_path: Path, entries: list[Entry], events: list[str]
):
    """What it was doing must not run into the turn of another one."""

    def value(entry: Entry, number: int) -> float:
        if entry.label == "bare" and number == 1:
            raise MeasureFailed("status 500")
        return 1.0

    run = run_of(FakeRow(entries, value), tmp_path)
    await run.whole()
    (row,) = results_of(run).rows

    assert [("bare", 1, "status 500")] == [(s.contestant, s.round, s.error) for s in row.samples if s.error]
    assert 2 == events.count("start bare")
    assert 5 == len(row.good)


async def test_who_fails_twice_is_out(tmp_path: Path, entries: list[Entry], events: list[str]):
    """A broken peer does not cost its time limit in every round."""

    def value(entry: Entry, number: int) -> float:
        if entry.label == "bare":
            raise TimeoutError
        return 1.0

    await run_of(FakeRow(entries, value), tmp_path, rounds=5).whole()

    assert ["bare1", "bare2"] == [event for event in events if event[:-1] == "bare"]


async def test_no_round_begins_after_the_time(tmp_path: Path, entries: list[Entry]):
    """A run is bounded; what is missing is said."""
    run = run_of(FakeRow(entries, lambda *_: 1.0), tmp_path, limit_s=-1.0)
    await run.whole()

    assert [] == results_of(run).rows
    assert not results_of(run).complete


async def test_fewer_rounds_are_said(tmp_path: Path, entries: list[Entry]):
    """The reader learns where five rounds would take too long."""
    run = run_of(FakeRow(entries, lambda *_: 1.0, most_rounds=2), tmp_path, rounds=5)
    await run.whole()

    assert ["2 rounds instead of 5, for the sake of time"] == results_of(run).rows[0].notes


async def test_what_a_row_says_of_itself_stands_on_the_page(tmp_path: Path, entries: list[Entry]):
    """It knows whom it has left out, once its entries are made."""

    class Short(FakeRow):
        def entries(self, around: Surroundings) -> list[Entry]:
            self.left_out = "there is no RAM disk"
            return super().entries(around)

        def remarks(self) -> list[str]:
            return [self.left_out]

    run = run_of(Short(entries, lambda *_: 1.0), tmp_path)
    await run.whole()

    assert ["there is no RAM disk"] == results_of(run).rows[0].notes


async def test_an_interruption_keeps_what_was_measured(tmp_path: Path, entries: list[Entry], events: list[str]):
    """Ctrl-C in the middle of a row saves its samples and stops everybody."""

    def value(entry: Entry, number: int) -> float:
        if number == 2:
            raise asyncio.CancelledError
        return 1.0

    saves: list[int] = []
    with pytest.raises(asyncio.CancelledError):
        await run_of(FakeRow(entries, value), tmp_path, saves=saves).whole()

    assert [2] == saves
    assert {"stop hoshikage", "stop bare"} <= set(events)


@pytest.fixture
def results() -> Results:
    row = RowResult("streams-4", "A row", [("tokens_per_s", "tokens/s")])
    for round_number in (1, 2, 3):
        for who, speed in ((OURS, 100.0), ("bare", 101.0), ("llama-server", 80.0)):
            values = {"tokens_per_s": speed + round_number, "prompt_tokens": 51.0}
            row.samples.append(Sample(who, round_number, values, client_cpu_s=0.2))
    return Results(MACHINE, "full", [row], complete=True)


def test_the_page_has_figures_rows_and_machine(tmp_path: Path, results: Results):
    """What is met, what was measured, on what."""
    results_pages().write(results, tmp_path)
    page = (tmp_path / "results.md").read_text()
    data = json.loads((tmp_path / "results.json").read_text())

    assert "| 4 streams, whole work, against the bare loop | at least 0.95 | 0.99 | 0.99 – 0.99 | met |" in page
    assert "| hoshikage | 102 | 0.20 | 0.00 | 3 |" in page
    assert "A CPU, 2 cores (avx2)" in page
    assert 9 == len(data["rows"][0]["samples"])
    assert 102.0 == data["rows"][0]["medians"][OURS]["tokens_per_s"]
    assert [True, True] == [f["met"] for f in data["figures"]]


def test_an_unfinished_run_says_so(tmp_path: Path, results: Results):
    """Nobody takes a part for the whole."""
    results.complete = False
    results_pages().write(results, tmp_path)

    assert "This run was not complete" in (tmp_path / "results.md").read_text()


def test_rows_that_are_not_measured_again_are_kept(tmp_path: Path, results: Results):
    """As they were written, and in their place."""
    results.rows.append(RowResult("shared", "Another row", []))
    results_pages().write(results, tmp_path)
    again = Results(MACHINE, "full", [RowResult("streams-1", "A row", [])])
    again.take_over(Results.read(tmp_path / "results.json"), {"streams-4"})
    results_pages().write(again, tmp_path)

    assert ["streams-1", "streams-4"] == [row.name for row in Results.read(tmp_path / "results.json").rows]
    assert results.rows[0].samples == again.rows[1].samples


@pytest.mark.parametrize(("machine", "form"), [({"cpu": "Another"}, "full"), ({}, "short")])
def test_rows_of_other_circumstances_are_not_kept(results: Results, machine: dict[str, Any], form: str):
    """One page, one machine."""
    again = Results({**MACHINE, **machine}, form)

    with pytest.raises(ValueError, match="the rows to keep are of"):
        again.take_over(results, {"streams-4"})


def test_different_prompts_are_told(results: Results):
    """Contestants that count the prompts differently did not do the same work."""
    results.rows[0].samples[0].values["prompt_tokens"] = 30.0
    results.rows[0].samples[3].values["prompt_tokens"] = 30.0

    assert "did not do the same work: hoshikage 30, bare 51" in row_section(results.rows[0])


def test_a_contestant_that_is_not_quiet_is_told(results: Results):
    """An idle server that computes spoils the turn of the others."""
    results.rows[0].samples[0].others_cpu_s = 1.0

    assert "whose turn it was not used more than" in row_section(results.rows[0])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (123.4, "123"), (1.2345, "1.23"), (0.0123, "0.0123"), (0.00004, "0.00004")],
)
def test_numbers_have_the_digits_that_mean_something(value: float | None, text: str):
    """Three of them, and never an exponent."""
    assert text == number(value)


@pytest.mark.parametrize(
    ("name", "unit", "text"),
    [
        ("tokens_per_s", "tokens/s", "tokens/s"),
        ("seconds", "s", "s"),
        ("ttft_p95_s", "s", "ttft p95 (s)"),
        ("valid", "", "valid"),
    ],
)
def test_a_column_says_its_unit_once(name: str, unit: str, text: str):
    """Names of values carry their unit already."""
    assert text == column(name, unit)


def test_a_cell_cannot_break_the_table():
    """A bar in a text is another sign."""
    assert "| a¦b |" in table(["x"], [["a|b"]])


def test_the_margin_is_over_one_where_a_figure_is_met(results: Results):
    """The same side is good for both kinds of bounds."""
    for figure in results.figures():
        assert (margin(figure, figure.value or 0.0) >= 1) is figure.met


def test_the_short_form_fails_if_anything_failed(results: Results):
    """It shows that everything works; a full run is worth what it has found."""
    results.rows[0].samples[0].error = "status 500"
    as_full = exit_status(results)
    results.form = "short"

    assert (0, 1) == (as_full, exit_status(results))


def test_the_short_form_fails_if_somebody_did_not_start(results: Results):
    """Others that did start do not show that everything works."""
    results.form = "short"
    before = exit_status(results)
    results.rows[0].absent.append(OURS)

    assert (0, 1) == (before, exit_status(results))


def test_the_rows_can_be_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """No model is loaded for that."""
    (tmp_path / "any.gguf").touch()

    assert 0 == main(["--list", "--model", str(tmp_path / "any.gguf")])
    assert "conversations" in capsys.readouterr().out


def test_a_missing_model_is_named(tmp_path: Path):
    """With what to do about it."""
    with pytest.raises(SystemExit, match="make model"):
        main(["--model", str(tmp_path / "none.gguf")])


def test_soak_has_arguments_of_its_own():
    """`soak --minutes 1` is the other command."""
    assert 1.0 == parser().parse_args(["soak", "--minutes", "1"]).minutes
