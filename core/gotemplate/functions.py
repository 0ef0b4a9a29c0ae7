"""The functions of Ollama's templates in Jinja2: Go's own and those that Ollama adds."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from hoshikage.core.gotemplate import nodes
from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.literals import quoted
from hoshikage.core.gotemplate.values import COMPACT, Value, shown, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.gotemplate.values import Scope

COMPARISONS: Final = {"ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
# How many arguments each takes.
ARITIES: Final = {
    "and": (1, 16),
    "or": (1, 16),
    "not": (1, 1),
    "eq": (2, 16),
    **dict.fromkeys(COMPARISONS, (2, 2)),
    "len": (1, 1),
    "slice": (1, 3),
    "index": (1, 8),
    "print": (0, 16),
    "println": (0, 16),
    "printf": (1, 16),
    "json": (1, 1),
    "toJson": (1, 1),
    "currentDate": (0, 0),
}
_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)


def call(expression: nodes.Call, scope: Scope) -> Value:
    """Translate a call.

    Raises:
        TemplateNotTranslatable: the function is unknown, or is called in a way that it does not take.
    """
    name, line = expression.function, expression.line
    if name not in ARITIES:
        raise TemplateNotTranslatable.at(
            line, f"the function {name[:40]!r} is unknown; there are: {', '.join(ARITIES)}"
        )
    least, most = ARITIES[name]
    if not least <= len(expression.arguments) <= most:
        takes = str(least) if least == most else f"{least} to {most}"
        raise TemplateNotTranslatable.at(line, f"{name} takes {takes} arguments, not {len(expression.arguments)}")
    if name == "printf":
        return _printf(expression, scope)
    return _plain(name, [value_of(argument, scope) for argument in expression.arguments])


def _plain(name: str, values: Sequence[Value]) -> Value:
    codes = [value.code for value in values]
    match name:
        case "len":
            content = f"{codes[0]}.encode()" if values[0].kind == "text" else codes[0]  # Go counts the bytes of a text
            return Value(f"({content}|length)", "number")
        case "slice":
            bounds = ":".join(codes[1:]) if len(codes) > 2 else f"{codes[1] if len(codes) > 1 else ''}:"
            return Value(f"{codes[0]}[{bounds}]", values[0].kind)
        case "index":
            return _index(values)
        case "print":
            return Value(_joined(values, spaced=False), "text")
        case "println":
            return Value(f"({_joined(values, spaced=True)} ~ '\\n')", "text")
        case "json" | "toJson":
            return Value(f"({codes[0]}|{COMPACT})", "text")
        case "currentDate":
            return Value("strftime_now('%Y-%m-%d')", "text")
        case _:
            return _decision(name, values)


def _decision(name: str, values: Sequence[Value]) -> Value:
    """What is true, and which of several values decides."""
    codes = [value.code for value in values]
    match name:
        case "and" | "or":
            kinds = {value.kind for value in values}
            return Value(f"({f' {name} '.join(codes)})", kinds.pop() if len(kinds) == 1 else "any")
        case "not":
            return Value(f"(not {codes[0]})", "bool")
        case "eq":
            # The first stands there once: written for each of the others, a nest of these would grow without bound.
            return Value(f"({codes[0]} in ({', '.join(codes[1:])},))", "bool")
        case _:
            return Value(f"({codes[0]} {COMPARISONS[name]} {codes[1]})", "bool")


def _index(values: Sequence[Value]) -> Value:
    found = values[0]
    for key in values[1:]:
        by_name = key.kind == "text" or found.kind == "map"
        found = Value(f"{found.code}.get({key.code})" if by_name else f"{found.code}[{key.code}]", "any")
    return found


def _joined(values: Sequence[Value], *, spaced: bool) -> str:
    """The values one after the other, with spaces between all of them, or as `print` has it where none is a text."""
    if not values:
        return "''"
    code = shown(values[0])
    for before, value in itertools.pairwise(values):
        gap = " ~ ' '" if spaced or "text" not in (before.kind, value.kind) else ""
        code += f"{gap} ~ {shown(value)}"
    return f"({code})"


def _printf(expression: nodes.Call, scope: Scope) -> Value:
    form, *arguments = expression.arguments
    if not isinstance(form, nodes.Literal) or not isinstance(form.value, str):
        raise TemplateNotTranslatable.at(expression.line, "printf needs its form as a text in quotes")
    values = [value_of(argument, scope) for argument in arguments]
    parts: list[str] = []
    at = 0
    for found in _DIRECTIVE.finditer(form.value):
        parts.append(quoted(form.value[at : found.start()]))
        parts.append(_directive(found[1], values, expression.line))
        at = found.end()
    parts.append(quoted(form.value[at:]))
    if values:
        raise TemplateNotTranslatable.at(expression.line, f"printf has {len(values)} arguments too many")
    return Value(f"({' ~ '.join(part for part in parts if part != quoted('')) or quoted('')})", "text")


def _directive(verb: str, values: list[Value], line: int) -> str:
    """The code for one `%` of a form; it takes its value off the list."""
    if verb == "%":
        return quoted("%")
    if verb not in ("s", "d", "v", "q", "t"):
        raise TemplateNotTranslatable.at(line, f"printf: %{verb} is not supported; use %s, %d, %v, %q or %t")
    if not values:
        raise TemplateNotTranslatable.at(line, f"printf: there is no argument for %{verb}")
    value = values.pop(0)
    return f"({shown(value)}|{COMPACT})" if verb == "q" else shown(value)
