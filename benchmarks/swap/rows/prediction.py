"""What the server says a load will take, against what the worker takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import OURS
from benchmarks.rows.base import Entry, Measured, MeasureFailed
from benchmarks.swap.contestants import OwnServer, until_quiet
from benchmarks.swap.memory import memory_of
from benchmarks.swap.rows.base import SwapRow
from benchmarks.swap.targets import GEMMA, SMOLLM2
from benchmarks.swap.works import long_work

if TYPE_CHECKING:
    from benchmarks.rows.base import Surroundings

CASES = ((SMOLLM2, 2048), (SMOLLM2, 8192), (GEMMA, 2048), (GEMMA, 8192))
SHORT_CASES = (CASES[0], CASES[-1])


class Prediction(SwapRow):
    """Two models with two sizes of context."""

    name = "prediction"
    title = "Bytes of a load in main memory: predicted / measured (Rss of the worker after a long prompt)"
    headline = (("off_by", ""), *((f"{model}_{n_ctx}", "") for model, n_ctx in CASES))
    most_rounds = 3
    n_ctx = 2048

    def sides(self, around: Surroundings) -> list[Entry]:
        """Ourselves."""
        return [Entry(OURS, self.own(around, self.ground.small))]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Ask before the load, load, use everything once, and look."""
        ours = entry.contestant
        assert isinstance(ours, OwnServer)
        predicted: dict[str, int] = {}
        measured: dict[str, int] = {}
        pss: dict[str, int] = {}
        for model, n_ctx in SHORT_CASES if around.short else CASES:
            case = f"{model}_{n_ctx}"
            await ours.unload(model)
            predicted[case] = await ours.predicted_bytes(model, n_ctx)
            await ours.load(model, n_ctx)
            # Buffers and weights are in main memory only once they were used.
            await ours.ask(model, long_work(around.tokenizer.count, 11_000 + round_number, short=around.short))
            await until_quiet(ours)
            row = await ours.loaded(model)
            if row["context_length"] < n_ctx:
                raise MeasureFailed(f"{model} was loaded with {row['context_length']} tokens instead of {n_ctx}")
            memory = memory_of(row["pid"])
            measured[case], pss[case] = memory.rss, memory.pss
        detail = {"predicted": predicted, "measured": measured, "pss": pss}
        return Measured(prediction_values(predicted, measured), detail)


def prediction_values(predicted: dict[str, int], measured: dict[str, int]) -> dict[str, float]:
    """Each case, and how far the worst of them is off, whichever way."""
    ratios = {case: predicted[case] / measured[case] for case in predicted}
    return {"off_by": max(max(r, 1 / r) for r in ratios.values()), **ratios}
