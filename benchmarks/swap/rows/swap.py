"""Two models that take turns: from a request for the other one to its first token."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, cast

from benchmarks.rows.base import Measured
from benchmarks.swap.contestants import OwnServer, until_quiet
from benchmarks.swap.rows.base import SwapRow, staged_share
from benchmarks.swap.targets import SPELLED
from benchmarks.swap.works import short_work

if TYPE_CHECKING:
    from benchmarks.answers import Answer
    from benchmarks.rows.base import Entry, Surroundings
    from benchmarks.swap.contestants import Changing

PAIRS, SHORT_PAIRS = 3, 1


class Swap(SwapRow):
    """There and back a few times; a measurement is the median of them, for each direction."""

    name = "swap"
    title = "SmolLM2-135M and Gemma-3-270M in turn, one model at a time, short prompts: request to first token"
    headline = (*((f"to_{model}_s", "s") for model in SPELLED), ("staged", "share"))

    def sides(self, around: Surroundings) -> list[Entry]:
        """Ourselves, the router and the limit."""
        return self.beside(around, limit=True)

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Whoever was warmed up has the second model loaded, and has it again at the end."""
        who = entry.contestant
        staged = {"staged": await staged_share(who)} if isinstance(who, OwnServer) else {}
        answers: dict[str, list[Answer]] = {model: [] for model in SPELLED}
        for pair in range(SHORT_PAIRS if around.short else PAIRS):
            for place, model in enumerate(SPELLED):
                work = short_work(around.tokenizer.count, 8000 + round_number * 100 + pair * 10 + place)
                await until_quiet(who)
                answers[model].append(await cast("Changing", who).ask(model, work))
        values = {f"to_{m}_s": statistics.median(a.first_token_s for a in found) for m, found in answers.items()}
        prompts = sum(answer.prompt_tokens for found in answers.values() for answer in found)
        seconds = {m: [round(a.first_token_s, 4) for a in found] for m, found in answers.items()}
        return Measured({**values, **staged, "prompt_tokens": float(prompts)}, seconds)
