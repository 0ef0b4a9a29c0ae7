"""What the worker has done since its start."""

from __future__ import annotations

from dataclasses import dataclass

from hoshikage.plugins.engine_llamacpp import frames


@dataclass(slots=True)
class Tally:
    """Running totals; see `hoshikage.EngineCounters` for their meanings."""

    steps: int = 0
    compute_s: float = 0.0
    batch_tokens: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0

    def frame(
        self, *, running: int, waiting: int, cells_total: int, cells_used: int, cells_kept: int
    ) -> frames.Counters:
        """The totals, with what the worker holds at this moment."""
        return frames.Counters(
            self.steps,
            self.compute_s,
            self.batch_tokens,
            self.prefill_tokens,
            self.decode_tokens,
            self.cached_tokens,
            self.drafted_tokens,
            self.accepted_tokens,
            self.preemptions,
            running=running,
            waiting=waiting,
            cells_total=cells_total,
            cells_used=cells_used,
            cells_kept=cells_kept,
        )
