"""The picture: how much is found by each way, in three collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import OURS, medians
from benchmarks.plots import saved

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import Results

SHOWN = (
    ("people", "recall_5", "our own, in Japanese: recall at 5"),
    ("jsquad", "recall_1", "JSQuAD: recall at 1"),
    ("locomo", "recall_10", "LoCoMo: recall at 10"),
)


def draw(results: Results, folder: Path) -> list[str]:
    """Draw what there are samples for. Returns the names of the files, none where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = {row.name: row for row in results.rows}
    there = [(rows[name], value, title) for name, value, title in SHOWN if name in rows and rows[name].good]
    if not there:
        return []
    heights = [len(medians(row.good)) for row, _, _ in there]
    fig, panels = plt.subplots(
        len(there),
        1,
        figsize=(9, 0.4 * sum(heights) + 1.2 * len(there)),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    for axes, (row, value, title) in zip(panels[:, 0], there, strict=True):
        found = [(who, values[value]) for who, values in medians(row.good).items() if value in values]
        names, figures = [who for who, _ in reversed(found)], [figure for _, figure in reversed(found)]
        bars = axes.barh(names, figures, color=["#2a6f97" if who.startswith(OURS) else "#bbbbbb" for who in names])
        axes.bar_label(bars, [f"{figure:.1f}" for figure in figures], padding=3, fontsize=8)
        axes.set_xlim(0, 108)
        axes.set_title(f"{title} (%)", fontsize=9)
        axes.tick_params(labelsize=8)
    return [saved(fig, folder / "memory.png")]
