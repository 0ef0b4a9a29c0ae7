"""The picture: seconds to the first token in every situation, and memory over the swaps."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.figures import OURS, rounds_of
from benchmarks.plots import saved
from benchmarks.swap.targets import COLD, GEMMA, LIMIT, RAM_DISK, ROUTER, SMOLLM2, WARM, WITHOUT_STATE

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Results, RowResult

SITUATIONS = (
    ("swap", f"to_{SMOLLM2}_s", "swap to SmolLM2-135M"),
    ("swap", f"to_{GEMMA}_s", "swap to Gemma-3-270M"),
    ("back", "ttft_s", "back to 1,230 tokens"),
    ("restart", "ttft_s", "back after a restart"),
    ("big-file", "ttft_s", "load of a big file"),
)
COLORS = {
    OURS: "#2a6f97",
    ROUTER: "#d1495b",
    LIMIT: "#888888",
    WITHOUT_STATE: "#edae49",
    COLD: "#edae49",
    WARM: "#66a182",
    RAM_DISK: "#2a6f97",
}
Bar = tuple[str, list[float]]


def draw(results: Results, folder: Path) -> list[str]:
    """Draw what there are samples for. Returns the names of the files, none where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = {row.name: row for row in results.rows}
    panels = [(title, found) for name, value, title in SITUATIONS if (found := bars(rows.get(name), value))]
    looks = memory_looks(rows.get("many-swaps"))
    if not panels and not looks:
        return []
    count = len(panels) + bool(looks)
    fig, axes = plt.subplots(count, 1, figsize=(8, 1.5 * count + 0.5), squeeze=False)
    for panel, (title, found) in zip(axes[:, 0], panels, strict=False):
        _bars(panel, title, found)
    if looks:
        _memory(axes[-1, 0], looks)
    return [saved(fig, folder / "swap.png")]


def bars(row: RowResult | None, value: str) -> list[Bar]:
    """Who has this value in which rounds."""
    if row is None:
        return []
    names = dict.fromkeys(sample.contestant for sample in row.good)
    found = [(name, list(rounds_of(row.good, name, value).values())) for name in sorted(names)]
    return [(name, values) for name, values in found if values]


def memory_looks(row: RowResult | None) -> list[dict[str, Any]]:
    """The looks at the server process."""
    return [look for sample in row.good for look in sample.detail["looks"]] if row is not None else []


def _bars(panel: Any, title: str, found: list[Bar]) -> None:
    names = [name for name, _ in found]
    middles = [statistics.median(values) for _, values in found]
    panel.barh(names, middles, color=[COLORS.get(name) for name in names])
    for place, (_, values) in enumerate(found):
        panel.plot([min(values), max(values)], [place, place], color="black", linewidth=1)
    panel.set_xlim(left=0)
    panel.set_title(f"{title}: seconds to the first token (median; the line spans the rounds)", fontsize=9)
    panel.tick_params(labelsize=8)


def _memory(panel: Any, looks: list[dict[str, Any]]) -> None:
    for kind in ("rss", "pss"):
        panel.plot([look["swaps"] for look in looks], [look[kind] / 2**20 for look in looks], label=kind.capitalize())
    panel.set_ylim(0, 1.2 * max(look["rss"] for look in looks) / 2**20)
    panel.set_xlabel("swaps", fontsize=8)
    panel.set_title("memory of the server process (MiB)", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.legend(fontsize=8)
