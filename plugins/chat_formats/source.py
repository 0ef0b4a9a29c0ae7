"""The text of one answer while it comes, read by steps that wait wherever more text could change their mind."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

# A step yields where it needs more text, and returns what it has found.
Steps: TypeAlias = Generator[None, None, T]


class Source:
    """What has come of an answer and is not yet taken.

    Attributes:
        ended: no more text will come, so nothing is worth waiting for.
    """

    def __init__(self) -> None:
        self.ended = False
        self._text = ""
        self._at = 0
        self._mark: int | None = None

    @property
    def rest(self) -> str:
        """What can be taken now."""
        return self._text[self._at :]

    def add(self, text: str) -> None:
        """Append what has come; what is taken, and no longer marked, is forgotten."""
        kept = self._at if self._mark is None else self._mark
        self._text = self._text[kept:] + text
        self._at -= kept
        self._mark = None if self._mark is None else 0

    def skip(self, size: int) -> None:
        """Take `size` characters."""
        self._at += size

    def mark(self) -> None:
        """Remember this place; there is one such place at a time."""
        self._mark = self._at

    def forget(self) -> None:
        """There is no way back to the mark any more."""
        self._mark = None

    def back(self) -> None:
        """Go back to the mark: what was taken since is there again."""
        if self._mark is not None:
            self._at = self._mark
        self._mark = None

    def peek(self) -> Steps[str]:
        """The next character, which is not taken; empty at the end."""
        while not self.rest and not self.ended:
            yield
        return self.rest[:1]

    def space(self) -> Steps[None]:
        """Take white space up to the next other character or the end."""
        while True:
            rest = self.rest
            body = rest.lstrip()
            self.skip(len(rest) - len(body))
            if body or self.ended:
                return
            yield

    def one_of(self, *texts: str) -> Steps[str]:
        """Take the longest of the texts that comes next; empty if none of them does."""
        while True:
            rest = self.rest
            open_ended = any(len(text) > len(rest) and text.startswith(rest) for text in texts)
            if not open_ended or self.ended:
                break
            yield
        found = max((text for text in texts if rest.startswith(text)), key=len, default="")
        self.skip(len(found))
        return found

    def until(self, markers: tuple[str, ...], emit: Callable[[str], None]) -> Steps[str]:
        """Pass text on up to one of the markers, take that one, and return it; empty at the end."""
        pattern = re.compile("|".join(re.escape(marker) for marker in markers)) if markers else None
        while True:
            rest = self.rest
            found = pattern.search(rest) if pattern else None
            certain = found.start() if found else len(rest) - (0 if self.ended else _held_back(rest, markers))
            if certain:
                emit(rest[:certain])
            self.skip(certain)
            if found:
                self.skip(len(found[0]))
                return found[0]
            if self.ended:
                return ""
            yield


def _held_back(text: str, markers: tuple[str, ...]) -> int:
    """How many characters at the end could be the beginning of a marker."""
    if not any(marker[0] in text for marker in markers):  # as nearly always
        return 0
    longest = max((len(marker) for marker in markers), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(marker.startswith(text[-size:]) for marker in markers):
            return size
    return 0
