"""The part of a long memory that fits a question best, for where the whole of it has no room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hoshikage.plugins.memory.block import tokens_of
from hoshikage.plugins.memory.sentences import Sentence, sentences_of
from hoshikage.plugins.memory.text import content_of, count_terms, normalised, terms_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CUT: Final = "…"
MOST_SENTENCES: Final = 2_000


def passage_of(text: str, question: str, *, tokens: int) -> str:
    """Sentences that stand one after the other, as many as there is room for; what was left out is marked.

    They are those around the sentence that shares the most words with the question, and the rarer ones of its words
    count more. A block of code is whole, unless it alone is too long.

    Args:
        text: of the memory.
        question: what it is to help with.
        tokens: how much room there is.
    """
    sentences = sentences_of(text)[:MOST_SENTENCES]
    if not sentences:
        return ""
    worth = _worth(sentences, question)
    first = last = centre = int(np.argmax(worth))
    if tokens_of(sentences[first].text) + 2 > tokens:
        return _part_of(sentences[first].text, question, tokens=tokens)
    too_long: set[int] = set()  # what has no room once never has any, and is not measured again
    while True:
        beside = [n for n in (first - 1, last + 1) if 0 <= n < len(sentences) and n not in too_long]
        too_long |= {n for n in beside if _tokens(text, sentences, min(n, first), max(n, last)) > tokens}
        beside = [n for n in beside if n not in too_long]
        if not beside:
            break
        best = max(beside, key=lambda n: (worth[n], -abs(n - centre), n))
        first, last = min(first, best), max(last, best)
    return _marked(_between(text, sentences, first, last), before=first > 0, after=last < len(sentences) - 1)


def _worth(sentences: Sequence[Sentence], question: str) -> NDArray[np.float32]:
    """How much of the question each sentence has."""
    terms = sorted(content_of(terms_of(question)) or set(terms_of(question)))
    if not terms:
        return np.zeros(len(sentences), dtype=np.float32)
    there = count_terms(terms, [normalised(sentence.text) for sentence in sentences]) > 0
    weights = np.log(1 + len(sentences) / (there.sum(axis=0) + 0.5))
    worth: NDArray[np.float32] = (there @ weights).astype(np.float32)
    return worth


def _part_of(text: str, question: str, *, tokens: int) -> str:
    """A part of one sentence that is too long, from just before the first word of the question in it."""
    words = sorted(content_of(terms_of(question)), key=len, reverse=True)
    low = text.lower()
    at = next((place for word in words if (place := low.find(word)) >= 0), 0)
    length = max(1, int(len(text) * (tokens - 2) / tokens_of(text)))  # as many tokens as there are characters for
    begin = max(0, min(at - length // 4, len(text) - length))
    return _marked(text[begin : begin + length].strip(), before=begin > 0, after=begin + length < len(text))


def _between(text: str, sentences: Sequence[Sentence], first: int, last: int) -> str:
    return text[sentences[first].begin : sentences[last].begin + len(sentences[last].text)]


def _tokens(text: str, sentences: Sequence[Sentence], first: int, last: int) -> int:
    return tokens_of(_between(text, sentences, first, last)) + 2


def _marked(text: str, *, before: bool, after: bool) -> str:
    return (f"{CUT} " if before else "") + text + (f" {CUT}" if after else "")
