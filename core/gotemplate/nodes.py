"""The nouns of a Go template: what stands in it, and the expressions in its actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number, a truth value or `nil`."""

    value: str | int | float | bool | None
    line: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A value by its way: `.A.B` from the dot, `$x.A` from a variable, `$.A` from the root.

    Attributes:
        variable: empty for the dot, `$` for the root, else the variable's name with its `$`.
        fields: the names on the way, in order.
    """

    variable: str
    fields: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of what an expression in parentheses gives: `(index .Tools 0).Function`."""

    inner: Expression
    fields: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments; a pipeline is the call whose last argument is what stands before it."""

    function: str
    arguments: tuple[Expression, ...]
    line: int


Expression: TypeAlias = Literal | Reference | Chain | Call


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is written as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """An expression whose value is written."""

    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """`$x := value` makes a variable, `$x = value` changes one."""

    variable: str
    value: Expression
    declares: bool
    line: int


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` or `with`: the body if the value is true, else the other.

    Attributes:
        moves_dot: it is `with`, so in the body the dot is the value.
        variable: what the value is kept in, where the action declares it.
    """

    value: Expression
    body: tuple[Node, ...]
    other: tuple[Node, ...]
    moves_dot: bool
    variable: str
    line: int


@dataclass(frozen=True, slots=True)
class Range:
    """The body once for each element; the other where there is none.

    Attributes:
        key: the variable of the index or key; empty where none is declared.
        element: the variable of the element; empty where none is declared.
    """

    value: Expression
    body: tuple[Node, ...]
    other: tuple[Node, ...]
    key: str
    element: str
    line: int


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    word: str
    line: int


Node: TypeAlias = Text | Output | Assignment | Branch | Range | Jump
