"""Back to a long conversation: after another model was asked, and after the server was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from benchmarks.figures import OURS
from benchmarks.rows.base import Entry, Measured
from benchmarks.swap.contestants import OwnServer, until_quiet
from benchmarks.swap.rows.base import SwapRow, staged_share
from benchmarks.swap.targets import GEMMA, SMOLLM2, WITHOUT_STATE
from benchmarks.swap.works import LONG_PROMPT, continued, long_work, short_work

if TYPE_CHECKING:
    from benchmarks.answers import Answer
    from benchmarks.rows.base import Surroundings
    from benchmarks.swap.contestants import Changing

HEADLINE = (("ttft_s", "s"), ("first_time_s", "s"), ("prompt_tokens", ""), ("cached_tokens", ""))


class Back(SwapRow):
    """A, B, and A again."""

    name = "back"
    title = f"A conversation of {LONG_PROMPT:,} tokens in SmolLM2, a question to Gemma, and the conversation goes on"
    headline = (*HEADLINE, ("staged", "share"))

    def sides(self, around: Surroundings) -> list[Entry]:
        """Ourselves and the router."""
        return self.beside(around, limit=False)

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Hold the conversation, ask the other one, go on."""
        who, count, seed = entry.contestant, around.tokenizer.count, 9000 + round_number * 10
        asked = cast("Changing", who)
        staged = {"staged": await staged_share(who)} if isinstance(who, OwnServer) else {}
        work = long_work(count, seed, short=around.short)
        first = await asked.ask(SMOLLM2, work)
        await until_quiet(who)
        await asked.ask(GEMMA, short_work(count, seed + 1))
        await until_quiet(who)
        again = await asked.ask(SMOLLM2, continued(work, first, count, seed + 2))
        return Measured({**return_values(first, again), **staged})


class Restart(SwapRow):
    """A, the whole server stopped and started, and A again."""

    name = "restart"
    title = f"A conversation of {LONG_PROMPT:,} tokens in SmolLM2, the server stopped and started, and it goes on"
    headline = HEADLINE

    def stages(self) -> int:
        """Both servers stage one model."""
        return 2 * self.ground.smollm2.stat().st_size

    def sides(self, around: Surroundings) -> list[Entry]:
        """Ourselves, with saved state and without."""
        models = {SMOLLM2: self.ground.smollm2}
        return [
            Entry(OURS, self.own(around, models)),
            Entry(WITHOUT_STATE, self.own(around, models, label=WITHOUT_STATE, state=False)),
        ]

    async def measure(self, entry: Entry, round_number: int, around: Surroundings) -> Measured:
        """Hold the conversation, stop, start, go on: the first request of the new server loads the model too."""
        ours, count, seed = entry.contestant, around.tokenizer.count, 9500 + round_number * 10
        assert isinstance(ours, OwnServer)
        work = long_work(count, seed, short=around.short)
        first = await ours.ask(SMOLLM2, work)
        await until_quiet(ours)
        await ours.stop()
        await ours.serve()
        await until_quiet(ours)
        again = await ours.ask(SMOLLM2, continued(work, first, count, seed + 1))
        return Measured(return_values(first, again))


def return_values(first: Answer, again: Answer) -> dict[str, float]:
    """The figures of a conversation that went on."""
    return {
        "ttft_s": again.first_token_s,
        "first_time_s": first.first_token_s,
        "prompt_tokens": float(again.prompt_tokens),
        "cached_tokens": float(again.cached_tokens),
    }
