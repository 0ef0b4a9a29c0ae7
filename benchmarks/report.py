"""The page: the table of figures to reach, then one table per row, then what the reader should know."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from benchmarks.figures import medians
from benchmarks.machine import lines

if TYPE_CHECKING:
    from benchmarks.figures import Figure
    from benchmarks.results import Results, RowResult

MARKS = {True: "met", False: "**missed**", None: "not measured"}
MEANING = (
    "Medians over the rounds. `client` is the processor time of the load generator in the mean, `others` the most that "
    "contestants used whose turn it was not."
)
QUIET_S = 0.05  # of processor time; more than that of a contestant that should idle is worth a line


def markdown(results: Results, *, plots: list[str]) -> str:
    """The whole page."""
    day = datetime.datetime.fromtimestamp(results.began_at, datetime.UTC).strftime("%Y-%m-%d")
    state = "" if results.complete else " **This run was not complete.**"
    parts = [
        "# Results",
        f"Written by `make bench` ({results.form} form, {results.minutes:.0f} minutes) on {day}.{state}",
        "Raw samples: [results.json](results.json). How it is measured: [README](README.md).",
        "\n".join(lines(results.machine)),
        "## Figures to reach",
        figures_table(results.figures()),
        *(f"![{name}]({name})" for name in plots),
        "## All rows",
        MEANING,
        *(row_section(row) for row in results.rows),
    ]
    if results.llama_bench:
        parts += ["### llama-bench", llama_bench_table(results)]
    return "\n\n".join(parts) + "\n"


def figures_table(figures: list[Figure]) -> str:
    """Each target with what was reached, its spread over the rounds, and whether that is enough."""
    rows = [
        [f.target.title, f"{f.target.bound} {f.target.limit:g}", number(f.value), spread(f.rounds), MARKS[f.met]]
        for f in figures
    ]
    return table(["figure", "must reach", "median", "rounds from – to", ""], rows)


def row_section(row: RowResult) -> str:
    """One row of the benchmark: a line per contestant."""
    middle = medians(row.good)
    names = [(name, unit) for name, unit in row.headline if any(name in values for values in middle.values())]
    header = [
        "",
        *(column(name, unit) for name, unit in names),
        "client (s)",
        "others (s)",
        "rounds",
    ]
    lines_ = []
    for who, values in middle.items():
        mine = [s for s in row.good if s.contestant == who]
        client = sum(s.client_cpu_s for s in mine) / len(mine)
        others = max(s.others_cpu_s for s in mine)
        lines_.append(
            [who, *(number(values.get(name)) for name, _ in names), f"{client:.2f}", f"{others:.2f}", str(len(mine))]
        )
    parts = [
        f"### {row.name}",
        f"{row.title}. Measured at {_minute(row.began_at)}.",
        table(header, lines_) if lines_ else "Nothing was measured.",
    ]
    notes = [*row.notes, *_remarks(row)]
    return "\n\n".join([*parts, *(["\n".join(f"- {note}" for note in notes)] if notes else [])])


def _minute(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def column(name: str, unit: str) -> str:
    """The head of a column: a value's name says its unit too, and once is enough."""
    if name in {unit, "seconds"} or name.endswith("_per_s"):
        return unit
    words = name.removesuffix("_s").replace("_", " ")
    return f"{words} ({unit})" if unit else words


def _remarks(row: RowResult) -> list[str]:
    found = [f"{s.contestant}, round {s.round}: {s.error[:200]}" for s in row.samples if s.error]
    prompts = {who: v["prompt_tokens"] for who, v in medians(row.good).items() if v.get("prompt_tokens")}
    if len(set(prompts.values())) > 1:
        told = ", ".join(f"{who} {tokens:.0f}" for who, tokens in prompts.items())
        found.append(f"the contestants count the prompts differently, so they did not do the same work: {told}")
    if any(s.others_cpu_s > QUIET_S for s in row.good):
        found.append(f"a contestant whose turn it was not used more than {QUIET_S} s of processor time")
    return found


def llama_bench_table(results: Results) -> str:
    """Its own words for what it measured."""
    rows = [
        [
            f"pp{entry['n_prompt']}" if entry["n_prompt"] else f"tg{entry['n_gen']}",
            number(entry["avg_ts"]),
            number(entry["stddev_ts"]),
        ]
        for entry in results.llama_bench
    ]
    return table(["test", "tokens/s", "±"], rows)


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines_ = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |" for line in lines_)


def number(value: float | None) -> str:
    """Three digits that mean something, and no exponent."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.5f}"


def spread(rounds: list[float]) -> str:
    """The lowest and the highest round."""
    return f"{number(min(rounds))} – {number(max(rounds))}" if rounds else "–"
