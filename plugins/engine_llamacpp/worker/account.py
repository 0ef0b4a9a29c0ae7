"""What one sequence cost, as it goes to the server with its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.engine_llamacpp import frames

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence


def account_of(s: Sequence, now: float) -> frames.Account:
    """The account of a sequence that ends now, on the monotonic clock."""
    return frames.Account(
        prompt_tokens=s.n_prompt,
        completion_tokens=s.n_answer,
        cached_tokens=s.n_cached,
        thinking_tokens=s.sampler.n_thinking if s.sampler is not None else 0,
        drafted_tokens=s.n_drafted,
        accepted_tokens=s.n_accepted,
        preemptions=s.n_preempted,
        prefill_s=s.first_token_at - s.begun_at,
        decode_s=now - s.first_token_at,
    )
