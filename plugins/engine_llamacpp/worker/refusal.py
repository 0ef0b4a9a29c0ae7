"""What can be wrong with a constraint: before the answer, and while it is written."""

from __future__ import annotations

LONGEST_REASON = 300


class ConstraintRefused(Exception):
    """No answer can begin in this form; the text names the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(_shortened(reason))


class ConstraintFailed(Exception):
    """An answer cannot go on in its form; only that answer ends."""

    def __init__(self, reason: str) -> None:
        super().__init__(_shortened(reason))


def _shortened(reason: str) -> str:
    """One line of readable length: compilers print the whole grammar, and point into it from the line below."""
    words = " ".join(reason.replace("<non-verbose/>", "").split())
    return words if len(words) <= LONGEST_REASON else words[: LONGEST_REASON - 1] + "…"
