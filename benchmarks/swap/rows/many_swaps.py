"""Many swaps: what of them stays in the memory of the server process."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.figures import OURS
from benchmarks.processes import n_open_files
from benchmarks.rows.base import Entry, Measured
from benchmarks.swap.contestants import OwnServer, until_quiet
from benchmarks.swap.memory import memory_of
from benchmarks.swap.rows.base import SwapRow
from benchmarks.swap.targets import EARLY_SWAPS, SPELLED, SWAPS
from benchmarks.swap.works import short_work

if TYPE_CHECKING:
    from typing import Any

    from benchmarks.rows.base import Surroundings

SHORT_SWAPS, SHORT_EARLY_SWAPS = 4, 2
LOOK_EVERY = 5


class ManySwaps(SwapRow):
    """The models take turns, and the process that speaks HTTP is looked at."""

    name = "many-swaps"
    title = f"{SWAPS} swaps: memory of the server process, against after {EARLY_SWAPS}"
    headline = (
        ("growth", ""),
        ("early_rss_mib", "MiB"),
        ("late_rss_mib", "MiB"),
        ("late_pss_mib", "MiB"),
        ("more_processes", ""),
        ("more_files", ""),
    )
    most_rounds = 1

    def sides(self, around: Surroundings) -> list[Entry]:
        """Ourselves."""
        return [Entry(OURS, self.own(around, self.ground.small))]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Swap, and look now and then."""
        ours = entry.contestant
        assert isinstance(ours, OwnServer)
        early, late = (SHORT_EARLY_SWAPS, SHORT_SWAPS) if around.short else (EARLY_SWAPS, SWAPS)
        looks: list[dict[str, Any]] = []
        for swap in range(1, late + 1):
            model = list(SPELLED)[(swap - 1) % len(SPELLED)]  # the warm-up ended with the last one
            await ours.ask(model, short_work(around.tokenizer.count, 10_000 * round_number + swap))
            if swap in {early, late} or swap % LOOK_EVERY == 0:
                looks.append({"swaps": swap, **await _look(ours)})
        return Measured(growth_values(looks, early), {"looks": looks})


async def _look(ours: OwnServer) -> dict[str, Any]:
    await until_quiet(ours)
    assert ours.child is not None
    pid = ours.child.process.pid
    return {**asdict(memory_of(pid)), "processes": len(ours.child.tree), "files": n_open_files(pid)}


def growth_values(looks: list[dict[str, Any]], early: int) -> dict[str, float]:
    """The last look against the one after `early` swaps."""
    first, last = next(look for look in looks if look["swaps"] == early), looks[-1]
    return {
        "growth": last["rss"] / first["rss"],
        "early_rss_mib": first["rss"] / 2**20,
        "late_rss_mib": last["rss"] / 2**20,
        "late_pss_mib": last["pss"] / 2**20,
        "more_processes": float(last["processes"] - first["processes"]),
        "more_files": float(last["files"] - first["files"]),
    }
