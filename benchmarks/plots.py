"""The pictures: throughput by streams, the figures to reach, and the silence of streams beside a long prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.figures import medians

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Figure
    from benchmarks.results import Results, RowResult

DPI = 120
COLORS = {
    "hoshikage": "#2a6f97",
    "bare": "#888888",
    "llama-server": "#d1495b",
    "llama-cpp-python-example": "#edae49",
    "llama-cpp-python-server": "#66a182",
}


def draw(results: Results, folder: Path) -> list[str]:
    """Draw what there are samples for. Returns the names of the files, none where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    rows = {row.name: row for row in results.rows}
    done: list[str] = []
    streams = {int(name.split("-")[1]): row for name, row in rows.items() if name.startswith("streams-") and row.good}
    if streams:
        done.append(_throughput(streams, folder / "streams.png"))
    if figures := [f for f in results.figures() if f.rounds]:
        done.append(_figures(figures, folder / "figures.png"))
    if (long := rows.get("long-prompt")) and long.good:
        done.append(_silence(long, folder / "long-prompt.png"))
    return done


def _throughput(rows: dict[int, RowResult], file: Path) -> str:
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(figsize=(8, 4.5))
    who = list(dict.fromkeys(s.contestant for row in rows.values() for s in row.good))
    width = 0.8 / len(who)
    for place, name in enumerate(who):
        found = {n: medians(row.good).get(name, {}).get("tokens_per_s") for n, row in sorted(rows.items())}
        bars = [(x + place * width, value) for x, value in enumerate(found.values()) if value is not None]
        axes.bar([x for x, _ in bars], [v for _, v in bars], width, label=name, color=COLORS.get(name))
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(rows))], [str(n) for n in sorted(rows)])
    axes.set_xlabel("streams at a time")
    axes.set_ylabel("tokens per second, prefill included")
    axes.set_title("Whole work of N streams (median of the rounds)")
    axes.legend(fontsize=8)
    return saved(fig, file)


def _figures(figures: list[Figure], file: Path) -> str:
    """Every figure as a multiple of what it must reach, so that all of them fit on one axis."""
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(figsize=(10, 0.4 * len(figures) + 1.5))
    for place, each in enumerate(reversed(figures)):
        ratios = [margin(each, value) for value in each.rounds]
        value = margin(each, each.value or 0.0)
        axes.plot([min(ratios), max(ratios)], [place, place], color="#bbbbbb", linewidth=4)
        axes.plot([value], [place], "o", color="#2a6f97" if each.met else "#d1495b")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(figures)), [f.target.title for f in reversed(figures)], fontsize=8)
    axes.set_xlabel("reached / must reach (right of 1 is met); the bar spans the rounds")
    return saved(fig, file)


def margin(figure: Figure, value: float) -> float:
    """How far a value is on the good side of its limit: over 1 is met, whichever side is the good one."""
    limit, tiny = figure.target.limit, 1e-6
    ratio = max(value, tiny) / limit
    return ratio if figure.target.bound == "at least" else 1 / ratio


def _silence(row: RowResult, file: Path) -> str:
    """When the streams got their tokens, around the arrival of the long prompt."""
    from matplotlib import pyplot as plt

    last: dict[str, dict[str, Any]] = {s.contestant: s.detail for s in row.good}
    fig, panels = plt.subplots(len(last), 1, figsize=(9, 1.8 * len(last) + 1), sharex=True, squeeze=False)
    for axes, (name, detail) in zip(panels[:, 0], last.items(), strict=True):
        for place, times in enumerate(detail["streams"]):
            axes.plot(times, [place] * len(times), "|", color=COLORS.get(name, "black"), markersize=6)
        axes.axvline(0, color="black", linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.set_ylabel("stream")
    panels[-1, 0].set_xlabel("seconds since the long prompt arrived; every mark is a token")
    return saved(fig, file)


def draw_memory(looks: list[dict[str, Any]], file: Path) -> None:
    """Memory of server and worker during a soak; nothing where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(figsize=(8, 4))
    for who in ("worker", "server"):
        axes.plot([look["at_s"] / 60 for look in looks], [look[f"{who}_rss"] / 2**20 for look in looks], label=who)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes")
    axes.set_ylabel("memory in RAM (MiB)")
    axes.set_title("Soak: memory over time")
    axes.legend()
    saved(fig, file)


def saved(fig: Any, file: Path) -> str:
    """Write a picture. Returns its name."""
    from matplotlib import pyplot as plt

    fig.tight_layout()
    fig.savefig(file, dpi=DPI)
    plt.close(fig)
    return file.name
