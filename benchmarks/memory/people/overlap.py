"""How much of a question stands in its evidence already: pairs of characters."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.memory.people.model import Question, Turn


def pairs(text: str) -> set[str]:
    """The pairs of neighbouring letters, without blanks and marks between, in the form NFKC and lower case."""
    letters = [c for c in unicodedata.normalize("NFKC", text).lower() if unicodedata.category(c)[0] in "LN"]
    return {a + b for a, b in pairwise(letters)}


def shared(question: str, evidence: Iterable[str]) -> float:
    """The share of the question's pairs that are in the evidence, 0 to 1; at 1 a search for the string finds it."""
    asked = pairs(question)
    found = set[str]().union(*map(pairs, evidence))
    return len(asked & found) / len(asked) if asked else 0.0


def of_question(question: Question, turns: Mapping[str, Turn]) -> float:
    """The share for a question with evidence; of several turns that answer alone, the most similar one counts."""
    texts = [turns[id_].text for id_ in question.evidence]
    if question.needs_all:
        return shared(question.text, texts)
    return max((shared(question.text, [text]) for text in texts), default=0.0)
