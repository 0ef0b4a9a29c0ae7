"""A request that needs a larger context: on a model that is loaded, against loading it anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.rows.base import Entry, Measured, MeasureFailed
from benchmarks.swap.contestants import OwnServer, until_quiet
from benchmarks.swap.rows.base import SwapRow
from benchmarks.swap.targets import RELOAD, RESIZE, SPELLED
from benchmarks.swap.works import short_work

if TYPE_CHECKING:
    from benchmarks.rows.base import Surroundings

SMALL, LARGE = 2048, 8192


class Resize(SwapRow):
    """`num_ctx` of 8192 is asked for where 2048 are there."""

    name = "resize"
    title = f"A model loaded with a context of {SMALL} tokens is asked for one of {LARGE}"
    headline = (("seconds", "s"), ("same_worker", ""))
    n_ctx = SMALL

    def sides(self, around: Surroundings) -> list[Entry]:
        """One server, two ways, two models."""
        ours = self.own(around, self.ground.small)
        return [Entry(f"{way}-{model}", ours) for model in SPELLED for way in (RESIZE, RELOAD)]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Load with the small context, rest, then take the time until the large one is there."""
        ours = entry.contestant
        assert isinstance(ours, OwnServer)
        way, _, model = entry.label.partition("-")
        await ours.unload(model)
        await ours.load(model)
        before = await ours.loaded(model)
        if before["context_length"] != SMALL:
            raise MeasureFailed(f"the model was loaded with {before['context_length']} tokens instead of {SMALL}")
        await until_quiet(ours)
        began = time.monotonic()
        if way == RELOAD:
            await ours.unload(model)
        await ours.load(model, LARGE)
        seconds = time.monotonic() - began
        after = await ours.loaded(model)
        if after["context_length"] < LARGE:
            raise MeasureFailed(f"{LARGE} tokens were asked for, and the context holds {after['context_length']}")
        await ours.ask(model, short_work(around.tokenizer.count, 12_000 + round_number))  # it must answer, too
        return Measured({"seconds": seconds, "same_worker": float(before["pid"] == after["pid"])})
