"""Sentences of a text, in Japanese and English; a block of code is one, and stays whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE: Final = re.compile(r"^[ \t]*(`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_SHORT_FORMS: Final = "".join(
    rf"(?<!\b{form}\.)" for form in ("Mr", "Ms", "Mrs", "Dr", "St", "Prof", "vs", r"e\.g", r"i\.e")
)
_END: Final = re.compile(rf"(?<=[。！？])[」』）]*\s*|(?<=[.!?]){_SHORT_FORMS}[\"')\]]*\s+|\n+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A part of a text, without the space around it.

    Attributes:
        begin: its place in the text.
        code: it is a fenced block.
    """

    text: str
    begin: int
    code: bool = False


def sentences_of(text: str) -> list[Sentence]:
    """All sentences, in their order; a line ends one too."""
    found: list[Sentence] = []
    at = 0
    for fence in _FENCE.finditer(text):
        found += _plain(text, at, fence.start())
        found.append(Sentence(fence[0].strip(), fence.start(), code=True))
        at = fence.end()
    return [*found, *_plain(text, at, len(text))]


def _plain(text: str, begin: int, end: int) -> Iterator[Sentence]:
    at = begin
    for mark in (*_END.finditer(text, begin, end), None):
        stop = mark.end() if mark is not None else end
        piece = text[at:stop]
        if piece.strip():
            yield Sentence(piece.strip(), at + len(piece) - len(piece.lstrip()))
        at = stop
