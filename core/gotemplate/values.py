"""From expressions to Jinja2 code, with what is known of the kind of their values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from hoshikage.core.gotemplate import nodes
from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.literals import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["text", "number", "bool", "list", "map", "any"]

COMPACT: Final = "tojson(separators=(',', ':'))"
EMPTY: Final[Mapping[Kind, str]] = {"text": " or ''", "number": " or 0", "list": " or []", "map": " or {}"}

# The fields of Ollama's messages, tools and calls, by the keys that they have in a conversation here.
# Source: https://github.com/ollama/ollama/blob/main/docs/template.mdx and api/types.go there
FIELDS: Final[Mapping[str, tuple[str, Kind]]] = {
    "AnyOf": ("anyOf", "list"),
    "Arguments": ("arguments", "map"),
    "Content": ("content", "text"),
    "Default": ("default", "any"),
    "Defs": ("$defs", "any"),
    "Description": ("description", "text"),
    "Enum": ("enum", "list"),
    "Function": ("function", "map"),
    "ID": ("id", "text"),
    "Images": ("images", "list"),
    "Index": ("index", "number"),
    "Items": ("items", "any"),
    "Name": ("name", "text"),
    "Parameters": ("parameters", "map"),
    "Properties": ("properties", "map"),
    "Required": ("required", "list"),
    "Role": ("role", "text"),
    "Thinking": ("reasoning_content", "text"),
    "ToolCallID": ("tool_call_id", "text"),
    "ToolCalls": ("tool_calls", "list"),
    "ToolName": ("name", "text"),
    "Type": ("type", "any"),
}


@dataclass(frozen=True, slots=True)
class Value:
    """Jinja2 code that needs no parentheses around it, and what it gives."""

    code: str
    kind: Kind


@dataclass(slots=True)
class Scope:
    """What names stand for at one place of the template.

    Attributes:
        root: the fields of the root.
        dot: the dot; `None` is the root.
        variables: the variables that are visible.
        used: the fields of the root that were asked for anywhere.
    """

    root: Mapping[str, Value]
    dot: Value | None = None
    variables: dict[str, Value] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def inner(self, dot: Value | None) -> Scope:
        """The scope of a block with another dot; what it declares is not seen outside."""
        return Scope(self.root, dot, dict(self.variables), self.used)


def value_of(expression: nodes.Expression, scope: Scope) -> Value:
    """Translate an expression.

    Raises:
        TemplateNotTranslatable: a name in it is unknown.
    """
    match expression:
        case nodes.Literal(value=value):
            return constant(value)
        case nodes.Reference():
            return _reference(expression, scope)
        case nodes.Chain(inner=inner, fields=fields, line=line):
            return _follow(value_of(inner, scope), fields, line)
        case nodes.Call():
            from hoshikage.core.gotemplate.functions import call  # functions have expressions as arguments

            return call(expression, scope)


def constant(value: str | float | bool | None) -> Value:
    """A literal."""
    if isinstance(value, str):
        return Value(quoted(value), "text")
    if value is None:
        return Value("none", "any")
    if isinstance(value, bool):
        return Value(str(value).lower(), "bool")
    return Value(repr(value) if value >= 0 else f"({value!r})", "number")


def shown(value: Value) -> str:
    """The code for a value as Go writes it: structures are written as JSON."""
    match value.kind:
        case "text" | "number":
            return value.code
        case "bool":
            return f"('true' if {value.code} else 'false')"
        case "list":
            return f"({value.code}|{COMPACT})"
        case _:
            return f"shown({value.code})"


def _reference(reference: nodes.Reference, scope: Scope) -> Value:
    name, fields, line = reference.variable, reference.fields, reference.line
    if name not in ("", "$"):
        if name not in scope.variables:
            raise TemplateNotTranslatable.at(line, f"the variable {name[:40]} is not declared")
        return _follow(scope.variables[name], fields, line)
    if name == "" and scope.dot is not None:
        return _follow(scope.dot, fields, line)
    if not fields:
        raise TemplateNotTranslatable.at(line, "the whole of what the template is given cannot be used at once")
    if fields[0] not in scope.root:
        raise TemplateNotTranslatable.at(line, f".{fields[0][:40]} is unknown; there are: .{', .'.join(scope.root)}")
    scope.used.add(fields[0])
    return _follow(scope.root[fields[0]], fields[1:], line)


def _follow(value: Value, fields: tuple[str, ...], line: int) -> Value:
    for name in fields:
        if name not in FIELDS:
            raise TemplateNotTranslatable.at(line, f"the field .{name[:40]} is unknown")
        key, kind = FIELDS[name]
        holder = value.code if value.code.isidentifier() else f"({value.code} or {{}})"
        value = Value(f"({holder}.get({quoted(key)}){EMPTY.get(kind, '')})", kind)
    return value
