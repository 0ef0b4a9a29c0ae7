"""From the text of a Go template to its pieces: text, and actions as lists of tokens.

Source: https://pkg.go.dev/text/template
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["text", "number", "char", "word", "reference", "mark"]

SPACE: Final = " \t\r\n"
_OPENING: Final = re.compile(r"\{\{(-(?=[ \t\r\n]))?")
_CLOSING: Final = re.compile(r"(?:[ \t\r\n]*\}\})|(?:[ \t\r\n]+-\}\})")
_COMMENT: Final = re.compile(r"[ \t\r\n]*/\*.*?\*/(?P<trim>[ \t\r\n]+-)?\}\}", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""
      (?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    | (?P<char>'(?:\\.|[^'\\\n])+')
    | (?P<number>[+-]?[0-9][0-9A-Za-z_.]*(?:(?<=[eE])[+-][0-9_]+)?)
    | (?P<reference>\$\w*(?:\.[A-Za-z_]\w*)*|(?:\.[A-Za-z_]\w*)+|\.)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>:=|[=|(),])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an action.

    Attributes:
        glued: nothing stands between it and the token before.
    """

    kind: Kind
    text: str
    line: int
    glued: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """What stands between `{{` and `}}`."""

    tokens: tuple[Token, ...]
    line: int


def pieces(source: str) -> Iterator[str | Action]:
    """Text and actions in their order; white space that `{{-` and `-}}` trim away is gone, and so are comments.

    Raises:
        TemplateNotTranslatable: an action does not end, or holds what is no word of the language.
    """
    at, trimmed, line = 0, False, 1
    while opening := _OPENING.search(source, at):
        text = source[at : opening.start()]
        line += text.count("\n")
        yield _trimmed(text, left=trimmed, right=opening[1] is not None)
        if comment := _COMMENT.match(source, opening.end()):
            end, trimmed = comment.end(), comment["trim"] is not None
        else:
            action, end, trimmed = _action(source, opening.end(), line)
            yield action
        line += source.count("\n", opening.start(), end)
        at = end
    yield _trimmed(source[at:], left=trimmed, right=False)


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip(SPACE) if left else text
    return text.rstrip(SPACE) if right else text


def _action(source: str, at: int, line: int) -> tuple[Action, int, bool]:
    """The action that begins at `at`, where it ends, and whether it trims the text after it."""
    tokens: list[Token] = []
    first_line, end_before = line, -1
    while True:
        if closing := _CLOSING.match(source, at):
            return Action(tuple(tokens), first_line), closing.end(), closing[0].endswith("-}}")
        start = at
        while at < len(source) and source[at] in SPACE:
            at += 1
        line += source.count("\n", start, at)
        if at == len(source):
            raise TemplateNotTranslatable.at(first_line, "an action does not end with }}")
        found = _TOKEN.match(source, at)
        if found is None:
            raise TemplateNotTranslatable.at(line, f"{source[at : at + 20]!r} is not understood")
        tokens.append(Token(_kind(found), found[0], line, glued=at == end_before))
        line += found[0].count("\n")
        at = end_before = found.end()


def _kind(found: re.Match[str]) -> Kind:
    kinds: tuple[Kind, ...] = ("text", "number", "char", "word", "reference", "mark")
    return next(kind for kind in kinds if found[kind] is not None)
