"""Guessing ahead: how long a guess may be, and guesses by looking up what the text has said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence as Seq

NGRAM = 4
FIRST_GUESS = 4
SHORTEST_REST = 16
LONGEST_REST = 256


class Pace:
    """How long the next guess of one sequence may be.

    A guess costs computing whether it is right or not. So the length doubles after a guess that was right as a
    whole, halves after one that was mostly wrong, and after several bad ones the sequence rests, each time for longer.

    Args:
        longest: the longest guess, in tokens.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._length = min(FIRST_GUESS, longest)
        self._resting = 0
        self._rest = SHORTEST_REST

    def next_length(self) -> int:
        """Tokens to guess in the next step; 0 is none."""
        if self._resting:
            self._resting -= 1
            return 0
        return self._length

    def record(self, drafted: int, accepted: int) -> None:
        """Learn from a guess."""
        if accepted == drafted:
            self._length = min(2 * self._length, self._longest)
            self._rest = SHORTEST_REST
        elif 2 * accepted < drafted:
            self._length //= 2
        if self._length == 0:
            self._length = 1
            self._resting = self._rest
            self._rest = min(2 * self._rest, LONGEST_REST)


class Drafter(Protocol):
    """Guesses the next tokens of a sequence."""

    def draft(self, tokens: Seq[int], length: int) -> list[int]:
        """At most `length` tokens that may come after `tokens`."""
        ...


class PromptLookup:
    """Guesses that what followed the last few tokens before will follow them again.

    Source: https://github.com/apoorvumang/prompt-lookup-decoding
    """

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        self._indexed = NGRAM

    def draft(self, tokens: Seq[int], length: int) -> list[int]:
        """See `Drafter.draft`. The tokens of one sequence only ever grow."""
        if len(tokens) < NGRAM:
            return []
        for end in range(self._indexed, len(tokens)):
            self._after[tuple(tokens[end - NGRAM : end])] = end
        self._indexed = max(self._indexed, len(tokens))
        at = self._after.get(tuple(tokens[-NGRAM:]))
        return [] if at is None else list(tokens[at : at + length])
