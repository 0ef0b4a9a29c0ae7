"""From the tree of a Go template to Jinja2 source.

Variables live in one namespace, `v`, because those of Jinja2 do not leave the loop that sets them. All text is written
as literals, because Jinja2 has rules of its own for the white space around its tags.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hoshikage.core.gotemplate import nodes
from hoshikage.core.gotemplate.errors import TemplateNotTranslatable
from hoshikage.core.gotemplate.literals import quoted
from hoshikage.core.gotemplate.values import Value, shown, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hoshikage.core.gotemplate.values import Scope


@dataclass(frozen=True, slots=True)
class _Loop:
    """The parts of a loop: what comes before it, what it goes over, how its body begins, and its keys."""

    items: str
    key: Value
    before: str = ""
    begin: str = ""


class Writer:
    """Writes one template; the names that it makes up are used once."""

    def __init__(self, changed: frozenset[str]) -> None:
        self._changed = changed
        self._numbers = itertools.count(1)

    def write(self, body: Sequence[nodes.Node], scope: Scope) -> str:
        """The source of some nodes; what they declare is added to the scope."""
        return "".join(self._node(node, scope) for node in body)

    def _node(self, node: nodes.Node, scope: Scope) -> str:
        match node:
            case nodes.Text(text=text):
                return f"{{{{ {quoted(text)} }}}}"
            case nodes.Output(value=value):
                return f"{{{{ {shown(value_of(value, scope))} }}}}"
            case nodes.Jump(word=word):
                return f"{{% {word} %}}"
            case nodes.Assignment():
                return self._assignment(node, scope)
            case nodes.Branch():
                return self._branch(node, scope)
            case nodes.Range():
                return self._range(node, scope)

    def _assignment(self, node: nodes.Assignment, scope: Scope) -> str:
        value = value_of(node.value, scope)
        if node.declares:
            return self._declare(node.variable, value, scope)
        if node.variable not in scope.variables:
            raise TemplateNotTranslatable.at(node.line, f"the variable {node.variable[:40]} is not declared")
        return f"{{% set {scope.variables[node.variable].code} = {value.code} %}}"

    def _declare(self, name: str, value: Value, scope: Scope) -> str:
        """Set a new variable; of one that is changed somewhere, what it will be is not known."""
        place = self._new("x")
        scope.variables[name] = Value(place, "any" if name in self._changed else value.kind)
        return f"{{% set {place} = {value.code} %}}"

    def _branch(self, node: nodes.Branch, scope: Scope) -> str:
        outer = scope.inner(scope.dot)
        value = value_of(node.value, outer)
        before = ""
        if node.variable:
            before = self._declare(node.variable, value, outer)
            value = outer.variables[node.variable]
        elif node.moves_dot:
            place = self._new("x")
            before = f"{{% set {place} = {value.code} %}}"
            value = Value(place, value.kind)
        body = self.write(node.body, outer.inner(value if node.moves_dot else outer.dot))
        other = self.write(node.other, outer.inner(outer.dot))
        ending = f"{{% else %}}{other}" if node.other else ""
        return f"{before}{{% if {value.code} %}}{body}{ending}{{% endif %}}"

    def _range(self, node: nodes.Range, scope: Scope) -> str:
        outer = scope.inner(scope.dot)
        element = Value(f"d{next(self._numbers)}", "any")
        loop = self._loop(value_of(node.value, outer), element.code)
        inner = outer.inner(element)
        begin = loop.begin
        begin += self._declare(node.key, loop.key, inner) if node.key else ""
        begin += self._declare(node.element, element, inner) if node.element else ""
        body = self.write(node.body, inner)
        if not node.other:
            return f"{loop.before}{{% for {loop.items} %}}{begin}{body}{{% endfor %}}"
        # Jinja2's own `else` also comes after a loop of which every round ended in a jump.
        empty = self._new("x")
        before = f"{loop.before}{{% set {empty} = true %}}"
        begin = f"{{% set {empty} = false %}}{begin}"
        after = f"{{% if {empty} %}}{self.write(node.other, outer)}{{% endif %}}"
        return f"{before}{{% for {loop.items} %}}{begin}{body}{{% endfor %}}{after}"

    def _loop(self, value: Value, name: str) -> _Loop:
        """How to go over a value, each element under a name. Maps are sorted by their keys, as in Go."""
        if value.kind == "map":
            return _Loop(f"k{name}, {name} in {value.code}|dictsort(true)", Value(f"k{name}", "text"))
        if value.kind == "list":
            return _Loop(f"{name} in {value.code}", Value("loop.index0", "number"))
        place = self._new("x")
        return _Loop(
            f"k{name} in ({place}|dictsort(true) if {place} is mapping else {place} or [])",
            Value(f"(k{name}[0] if {place} is mapping else loop.index0)", "any"),
            before=f"{{% set {place} = {value.code} %}}",
            begin=f"{{% set {name} = k{name}[1] if {place} is mapping else k{name} %}}",
        )

    def _new(self, prefix: str) -> str:
        return f"v.{prefix}{next(self._numbers)}"


def changed_variables(body: Iterable[nodes.Node]) -> Iterator[str]:
    """The variables that get another value somewhere."""
    for node in body:
        match node:
            case nodes.Assignment(variable=name, declares=False):
                yield name
            case nodes.Branch() | nodes.Range():
                yield from changed_variables((*node.body, *node.other))


def root_fields(body: Iterable[nodes.Node]) -> Iterator[str]:
    """The first names of all ways in the template, those of the root among them."""
    for node in body:
        match node:
            case nodes.Output(value=value) | nodes.Assignment(value=value):
                yield from _names(value)
            case nodes.Branch() | nodes.Range():
                yield from _names(node.value)
                yield from root_fields((*node.body, *node.other))


def _names(value: nodes.Expression) -> Iterator[str]:
    match value:
        case nodes.Reference(fields=(name, *_)):
            yield name
        case nodes.Chain(inner=inner):
            yield from _names(inner)
        case nodes.Call(arguments=arguments):
            for argument in arguments:
                yield from _names(argument)


def up_to_response(body: Sequence[nodes.Node]) -> tuple[tuple[nodes.Node, ...], bool]:
    """The template up to where the answer stands in it, and whether it stands in it at all.

    What Ollama does with the last turn: the model goes on from there.
    """
    kept: list[nodes.Node] = []
    for node in body:
        match node:
            case nodes.Output(value=value):
                kept.append(node)
                found = "Response" in _names(value)
            case nodes.Branch() | nodes.Range():
                block, found = _block_up_to_response(node)
                kept.append(block)
            case _:
                kept.append(node)
                found = False
        if found:
            return tuple(kept), True
    return tuple(kept), False


def _block_up_to_response(node: nodes.Branch | nodes.Range) -> tuple[nodes.Node, bool]:
    body, in_body = up_to_response(node.body)
    other, in_other = ((), False) if in_body else up_to_response(node.other)
    return replace(node, body=body, other=other), in_body or in_other
