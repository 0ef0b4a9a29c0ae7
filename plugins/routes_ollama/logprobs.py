"""Log-probabilities in Ollama's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hoshikage import TokenLogprob

LOWEST = -9999.0  # for a token that cannot be; JSON has no infinity


def logprob_rows(tokens: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """One row for each token; alternatives stand there where they were asked for."""
    return [_row(t) | ({"top_logprobs": [_row(o) for o in t.top]} if t.top else {}) for t in tokens]


def _row(token: TokenLogprob) -> dict[str, Any]:
    return {
        "token": token.token.decode("utf-8", "replace"),
        "logprob": max(token.logprob, LOWEST),
        "bytes": list(token.token),
    }
