"""Common beginnings of prompts: what one sequence has computed, another need not compute again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

    from hoshikage.plugins.engine_llamacpp.worker.sequence import Sequence


def best_donor(tokens: Seq[int], running: Seq[Sequence]) -> tuple[Sequence | None, int]:
    """The running sequence with the longest computed beginning in common with `tokens`, and its length.

    The last token is never shared: it must be computed for the first choice to have logits.
    """
    best, longest = None, 0
    for sequence in running:
        length = common_length(tokens, sequence.tokens, min(len(tokens) - 1, sequence.n_computed))
        if length > longest:
            best, longest = sequence, length
    return best, longest


def common_length(one: Seq[int], other: Seq[int], limit: int) -> int:
    """How many tokens two sequences have in common at their beginning, up to `limit`."""
    for at, (a, b) in enumerate(zip(one[:limit], other[:limit], strict=False)):
        if a != b:
            return at
    return min(limit, len(one), len(other))
