"""From the pieces of a Go template to its tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.expressions import Tokens, parse_pipeline
from hoshikage.core.gotemplate.lexer import Action, pieces
from hoshikage.core.gotemplate.nodes import Assignment, Branch, Jump, Output, Range, Text

if TYPE_CHECKING:
    from hoshikage.core.gotemplate.nodes import Expression, Node

MAX_BLOCKS: Final = 24
MAX_LOOPS: Final = 8  # Python compiles no more than 20 within each other, and other loops stand around these

REFUSED: Final = ("block", "define", "template")


def parse(source: str) -> tuple[Node, ...]:
    """Read a whole template.

    Raises:
        TemplateNotTranslatable: it is no template, or uses what is not known here.
    """
    parser = _Parser([piece for piece in pieces(source) if piece != ""])
    body, end = parser.nodes()
    if end is not None:
        raise TemplateNotTranslatable.at(end.line, f"{{{{ {_word(end)} }}}} closes nothing")
    return body


class _Parser:
    def __init__(self, found: list[str | Action]) -> None:
        self._pieces = iter(found)
        self._open: list[tuple[str, int]] = []

    def nodes(self) -> tuple[tuple[Node, ...], Action | None]:
        """Nodes up to an `else` or `end` that belongs to the block around them, which is returned too."""
        found: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                found.append(Text(piece))
                continue
            word = _word(piece)
            if word in ("else", "end"):
                return tuple(found), piece
            found.append(self._node(word, piece))
        if self._open:
            word, line = self._open[-1]
            raise TemplateNotTranslatable.at(line, f"{{{{ {word} }}}} has no {{{{ end }}}}")
        return tuple(found), None

    def _node(self, word: str, action: Action) -> Node:
        if word in ("if", "with", "range"):
            return self._block(word, Tokens(action.tokens[1:], action.line))
        if word in ("break", "continue"):
            if len(action.tokens) > 1 or not any(w == "range" for w, _ in self._open):
                raise TemplateNotTranslatable.at(action.line, f"{{{{ {word} }}}} stands where it cannot")
            return Jump(word, action.line)
        if word in REFUSED:
            raise TemplateNotTranslatable.at(action.line, f"{{{{ {word} }}}} is not supported")
        return _statement(Tokens(action.tokens, action.line))

    def _block(self, word: str, tokens: Tokens) -> Node:
        names, value = _declared(tokens, at_most=2 if word == "range" else 1)
        self._enter(word, tokens.line)
        body, end = self.nodes()
        if word == "range":  # its `else` is no part of the loop, so a jump there belongs to a loop around it
            self._open[-1] = ("else", tokens.line)
        other = self._other(word, end) if end is not None and _word(end) == "else" else ()
        self._open.pop()
        if word == "range":
            key, element = ("", *names)[-2:] if names else ("", "")
            return Range(value, body, other, key, element, tokens.line)
        return Branch(value, body, other, word == "with", names[0] if names else "", tokens.line)

    def _enter(self, word: str, line: int) -> None:
        self._open.append((word, line))
        if len(self._open) > MAX_BLOCKS or sum(w == "range" for w, _ in self._open) > MAX_LOOPS:
            raise TemplateNotTranslatable.at(line, "blocks are nested too deeply")

    def _other(self, word: str, opening: Action) -> tuple[Node, ...]:
        """What stands after `else`, up to the `end`, which `else if` shares with its `if`."""
        rest = opening.tokens[1:]
        if rest:
            again = rest[0].text
            if again != word or word == "range":
                raise TemplateNotTranslatable.at(opening.line, f"{{{{ else {again[:20]} }}}} is not understood here")
            return (self._block(word, Tokens(rest[1:], opening.line)),)
        body, end = self.nodes()
        if end is not None and _word(end) == "else":
            raise TemplateNotTranslatable.at(end.line, "a second {{ else }} belongs to nothing")
        return body


def _word(action: Action) -> str:
    return action.tokens[0].text if action.tokens and action.tokens[0].kind == "word" else ""


def _statement(tokens: Tokens) -> Node:
    names, declares = tokens.declaration(at_most=1)
    value = parse_pipeline(tokens)
    tokens.expect_end()
    if names:
        return Assignment(names[0], value, declares, tokens.line)
    return Output(value, tokens.line)


def _declared(tokens: Tokens, *, at_most: int) -> tuple[tuple[str, ...], Expression]:
    names, declares = tokens.declaration(at_most=at_most)
    if names and not declares:
        raise TemplateNotTranslatable.at(tokens.line, f"{names[0]} = … is not supported here; write {names[0]} := …")
    value = parse_pipeline(tokens)
    tokens.expect_end()
    return names, value
