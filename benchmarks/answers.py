"""What came back, and when: the measured form of one answer, and what several of them together say."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.figures import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Work:
    """One request, said so that every contestant can do it.

    Attributes:
        messages: role and content; the first one is always the system message.
        extras: further fields of the body for those that speak HTTP.
    """

    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """One measured answer; times are of `time.monotonic`, which all processes of a machine share.

    Attributes:
        times: when each piece of text arrived.
        pieces: text of each token, where the server reports them one by one.
        counted: whether the server itself reported the token counts.
    """

    began: float
    ended: float = 0.0
    times: list[float] = field(default_factory=list)
    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    pieces: list[bytes] = field(default_factory=list)
    counted: bool = False
    error: str = ""

    @property
    def first_token_s(self) -> float:
        """From sending the request to the first text."""
        return (self.times[0] if self.times else self.ended) - self.began

    @property
    def longest_gap_s(self) -> float:
        """The longest silence between two pieces of text."""
        return longest_gap(self.times)


def longest_gap(times: Sequence[float], since: float = 0.0) -> float:
    """The longest time between two neighbours of which the later one is after `since`."""
    return max((b - a for a, b in pairwise(times) if b > since), default=0.0)


def seconds(answers: Sequence[Answer]) -> float:
    """From the first request to the last end."""
    return max(a.ended for a in answers) - min(a.began for a in answers)


def tokens_per_s(answers: Sequence[Answer]) -> float:
    """Tokens written, by the whole time that it took."""
    return sum(a.completion_tokens for a in answers) / max(seconds(answers), 1e-9)


def stream_values(answers: Sequence[Answer]) -> dict[str, float]:
    """The figures of answers that ran side by side."""
    first = [a.first_token_s for a in answers]
    return {
        "seconds": seconds(answers),
        "tokens": float(sum(a.completion_tokens for a in answers)),
        "tokens_per_s": tokens_per_s(answers),
        "ttft_p50_s": percentile(first, 50),
        "ttft_p95_s": percentile(first, 95),
        "longest_gap_s": max(a.longest_gap_s for a in answers),
        "prompt_tokens": float(sum(a.prompt_tokens for a in answers)),
        "cached_tokens": float(sum(a.cached_tokens for a in answers)),
    }


def summary(answer: Answer) -> dict[str, float]:
    """One answer in the results file; the text itself stays out of it."""
    return {
        "seconds": round(answer.ended - answer.began, 4),
        "ttft_s": round(answer.first_token_s, 4),
        "longest_gap_s": round(answer.longest_gap_s, 4),
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cached_tokens": answer.cached_tokens,
    }
