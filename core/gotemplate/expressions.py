"""From the tokens of an action to its expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.literals import char_value, number_value, text_value
from hoshikage.core.gotemplate.nodes import Call, Chain, Literal, Reference

if TYPE_CHECKING:
    from hoshikage.core.gotemplate.lexer import Token
    from hoshikage.core.gotemplate.nodes import Expression

# Jinja2 reads expressions by recursion, a dozen calls for each level.
MAX_DEPTH: Final = 12
CONSTANTS: Final = {"true": True, "false": False, "nil": None}


class Tokens:
    """The tokens of one action, read from the left."""

    def __init__(self, tokens: tuple[Token, ...], line: int) -> None:
        self._tokens = tokens
        self._at = 0
        self.line = line
        self.depth = 0

    def peek(self, ahead: int = 0) -> Token | None:
        """A token that is not taken yet."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def take(self) -> Token | None:
        """The next token; `None` at the end."""
        token = self.peek()
        self._at += token is not None
        return token

    def take_mark(self, mark: str) -> bool:
        """Take this mark if it comes next."""
        token = self.peek()
        found = token is not None and token.kind == "mark" and token.text == mark
        self._at += found
        return found

    def declaration(self, *, at_most: int) -> tuple[tuple[str, ...], bool]:
        """Take `$x :=`, `$x =` or `$i, $x :=`. Returns the names, and whether they are new."""
        names: list[str] = []
        ahead = 0
        while (token := self.peek(ahead)) is not None and token.kind == "reference" and _is_variable(token):
            names.append(token.text)
            mark = self.peek(ahead + 1)
            if mark is None or mark.kind != "mark":
                break
            if mark.text in (":=", "="):
                if len(names) > at_most:
                    self.refuse(f"{len(names)} variables cannot be set here")
                self._at += ahead + 2
                return tuple(names), mark.text == ":="
            if mark.text != ",":
                break
            ahead += 2
        return (), False

    def expect_end(self) -> None:
        """Refuse whatever is left."""
        if (token := self.peek()) is not None:
            self.refuse(f"{token.text[:20]!r} is not understood here")

    def refuse(self, problem: str) -> NoReturn:
        """Say no to what stands here."""
        token = self.peek() or (self._tokens[-1] if self._tokens else None)
        raise TemplateNotTranslatable.at(token.line if token else self.line, problem)


def parse_pipeline(tokens: Tokens) -> Expression:
    """Commands joined by `|`, each of which gets the value of the one before as its last argument."""
    tokens.depth += 1
    value = _command(tokens, None)
    steps = 0
    while tokens.take_mark("|"):
        steps += 1
        _check_depth(tokens, steps)
        value = _command(tokens, value)
    tokens.depth -= 1
    return value


def _command(tokens: Tokens, piped: Expression | None) -> Expression:
    token = tokens.peek()
    if token is not None and token.kind == "word" and token.text not in CONSTANTS:
        tokens.take()
        arguments: list[Expression] = []
        while (token_after := tokens.peek()) is not None and token_after.text not in ("|", ")"):
            arguments.append(_operand(tokens))
        arguments += [] if piped is None else [piped]
        return Call(token.text, tuple(arguments), token.line)
    value = _operand(tokens)
    if piped is not None:
        tokens.refuse("what stands after | must be a function")
    return value


def _operand(tokens: Tokens) -> Expression:
    if tokens.take_mark("("):
        _check_depth(tokens)
        value = parse_pipeline(tokens)
        if not tokens.take_mark(")"):
            tokens.refuse("a parenthesis is not closed")
        return _chained(tokens, value)
    token = tokens.take()
    if token is None:
        tokens.refuse("a value is missing")
    match token.kind:
        case "text":
            return Literal(text_value(token), token.line)
        case "char":
            return Literal(char_value(token), token.line)
        case "number":
            return Literal(number_value(token), token.line)
        case "reference":
            variable, _, rest = token.text.partition(".")
            return Reference(variable, tuple(rest.split(".")) if rest else (), token.line)
        case "word" if token.text in CONSTANTS:
            return Literal(CONSTANTS[token.text], token.line)
        case "word":
            return Call(token.text, (), token.line)
        case _:
            raise TemplateNotTranslatable.at(token.line, f"{token.text!r} is not understood here")


def _chained(tokens: Tokens, value: Expression) -> Expression:
    token = tokens.peek()
    if token is None or not token.glued or token.kind != "reference" or not token.text.startswith("."):
        return value
    tokens.take()
    return Chain(value, tuple(name for name in token.text.split(".") if name), token.line)


def _check_depth(tokens: Tokens, further: int = 0) -> None:
    if tokens.depth + further > MAX_DEPTH:
        tokens.refuse("the expression is nested too deeply")


def _is_variable(token: Token) -> bool:
    return token.text.startswith("$") and len(token.text) > 1 and "." not in token.text
