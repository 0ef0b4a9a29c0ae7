"""JSON in answers: an object is passed on while it comes, small values are read whole."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import jiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage.plugins.chat_formats.source import Source, Steps

_CLOSERS = {"{": "}", "[": "]"}
_OUTSIDE = re.compile(r"[{}\[\]\"]|[\s\d+\-.,:eEtrufalsn]+")
_INSIDE = re.compile(r'"|\\[\s\S]|[^"\\\x00-\x1f]+|[\x00-\x1f]')
_STRING = re.compile(r'"(?:[^"\\]|\\[\s\S])*"')
_SCALAR = re.compile(r"[^\s,:\"{}\[\]]+(?=[\s,:\"{}\[\]])")


class ObjectScanner:
    """Finds the end of a JSON object in text that comes in pieces.

    It follows brackets and strings, no more: models break JSON in many ways, and the client's own reader names them
    best. The one thing mended is a line break or tab inside a string, which models often forget to escape.

    Attributes:
        complete: the object's last bracket is taken.
        broken: what comes next cannot belong to a JSON object.
    """

    def __init__(self) -> None:
        self.complete = False
        self.broken = False
        self._open: list[str] = []
        self._in_string = False

    def take(self, text: str) -> tuple[int, str]:
        """Take as much as belongs to the object.

        Returns:
            How many characters are taken, and the JSON text to pass on for them.
        """
        at = 0
        parts: list[str] = []
        while at < len(text) and not self.complete:
            lexeme = (_INSIDE if self._in_string else _OUTSIDE).match(text, at)
            if not lexeme or not self._accepts(lexeme[0]):
                self.broken = not self._in_string  # in a string, it is a backslash that waits for its letter
                break
            parts.append(self._escaped(lexeme[0]))
            at = lexeme.end()
        return at, "".join(parts)

    def _accepts(self, lexeme: str) -> bool:
        if lexeme == '"' and self._open:
            self._in_string = not self._in_string
        elif self._in_string:
            return True
        elif lexeme in _CLOSERS and (self._open or lexeme == "{"):
            self._open.append(_CLOSERS[lexeme])
        elif lexeme in _CLOSERS.values():
            if not self._open or self._open.pop() != lexeme:
                return False
            self.complete = not self._open
        return bool(self._open) or self.complete

    def _escaped(self, lexeme: str) -> str:
        return json.dumps(lexeme)[1:-1] if self._in_string and lexeme < " " else lexeme


def read_object(source: Source, emit: Callable[[str], None]) -> Steps[bool]:
    """Pass a JSON object on while it comes; false if it breaks or the answer ends within it."""
    scanner = ObjectScanner()
    while True:
        size, text = scanner.take(source.rest)
        source.skip(size)
        if text:
            emit(text)
        if scanner.complete or scanner.broken:
            return scanner.complete
        if source.ended:
            emit(source.rest)  # at most a backslash
            source.skip(len(source.rest))
            return False
        yield


def read_string(source: Source) -> Steps[str | None]:
    """Take a JSON string and return what it says; `None` if it is none."""
    if (yield from source.peek()) != '"':
        return None
    while not (found := _STRING.match(source.rest)):
        if source.ended:
            return None
        yield
    source.skip(found.end())
    value = decoded(found[0])
    return value if isinstance(value, str) else None


def read_scalar(source: Source) -> Steps[object]:
    """Take a string, a number, `true`, `false` or `null`.

    Raises:
        ValueError: it is none of them.
    """
    if (yield from source.peek()) == '"':
        text = yield from read_string(source)
        if text is None:
            raise ValueError
        return text
    while not (found := _SCALAR.match(source.rest)):
        if source.ended or _SCALAR.match(source.rest + ",") is None:
            raise ValueError
        yield
    source.skip(found.end())
    return jiter.from_json(found[0].encode(), allow_inf_nan=False)


def decoded(text: str) -> object:
    """What a whole JSON text says; `None` if it is none."""
    try:
        return jiter.from_json(text.encode(), allow_inf_nan=False)
    except ValueError:
        return None
