"""Constants: read as Go writes them, written as Jinja2 reads them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable

if TYPE_CHECKING:
    from hoshikage.core.gotemplate.lexer import Token

_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_KEPT: Final = "\\'\""
MAX_NUMBER_CHARS: Final = 18

# Readers of templates look for these pairs without knowing of literals.
_PAIR: Final = re.compile(r"(?<=[{}%#])[{}%#]")


def text_value(token: Token) -> str:
    """The value of a text in quotes or backquotes."""
    if token.text.startswith("`"):
        return token.text[1:-1].replace("\r", "")
    return _ESCAPE.sub(lambda found: _unescaped(found[1], token), token.text[1:-1])


def char_value(token: Token) -> int:
    """The number of a character in single quotes."""
    text = text_value(token)
    if len(text) != 1:
        raise TemplateNotTranslatable.at(token.line, f"{token.text[:20]} is not one character")
    return ord(text)


def number_value(token: Token) -> int | float:
    """The value of a number."""
    if len(token.text) <= MAX_NUMBER_CHARS:
        for read in (lambda text: int(text, 0), float):
            try:
                value: int | float = read(token.text)
            except (ValueError, OverflowError):
                continue
            if math.isfinite(value):
                return value
    raise TemplateNotTranslatable.at(token.line, f"{token.text[:40]!r} is no number that is understood")


def quoted(text: str) -> str:
    """A text as a literal of Jinja2, on one line."""
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return "'" + _PAIR.sub(lambda found: f"\\x{ord(found[0]):02x}", text) + "'"


def _unescaped(code: str, token: Token) -> str:
    first = code[0]
    if len(code) == 1:
        if first in _SIMPLE:
            return _SIMPLE[first]
        if first in _KEPT:
            return first
        raise TemplateNotTranslatable.at(token.line, f"'\\{first}' is no escape in a text")
    number = int(code, 8) if first.isdigit() else int(code[1:], 16)
    bytes_only = first == "x" or first.isdigit()
    if number > (0x7F if bytes_only else 0x10FFFF) or 0xD800 <= number <= 0xDFFF:
        raise TemplateNotTranslatable.at(token.line, f"'\\{code}' stands for no whole character")
    return chr(number)
