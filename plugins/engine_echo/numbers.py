"""Echo's numbers about texts: vectors that tell equal texts from others, and scores by common words."""

from __future__ import annotations

import hashlib
import math
import re

DIMENSIONS = 64

_WORD = re.compile(r"\w+")
_BYTES = 2


def vector_of(text: str) -> tuple[float, ...]:
    """A vector of length 1 from a hash of the text: equal texts have equal ones, others have nothing in common."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(DIMENSIONS * _BYTES)
    numbers = [
        int.from_bytes(digest[at : at + _BYTES], "big", signed=True) + 0.5 for at in range(0, len(digest), _BYTES)
    ]
    length = math.hypot(*numbers)  # never 0, because no number is
    return tuple(number / length for number in numbers)


def score_of(query: str, document: str) -> float:
    """The share of the query's words that occur in the document, 0 to 1."""
    words = _words(query)
    return len(words & _words(document)) / len(words) if words else 0.0


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
