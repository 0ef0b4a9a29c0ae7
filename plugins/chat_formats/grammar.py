"""Lark grammars of answers that call tools, in the dialect of llguidance.

Texts that are tokens of their own stand as string literals of their own, so that the engine can put the token in
their place. See https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hoshikage import Constraint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hoshikage import Tool

# One space at most: where a schema allows endless white space, small models write it.
_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}

# Models that have thought leave a line empty before they call; not to let them would put them off.
EMPTY_LINE = '("\\n\\n" | "\\n")?'
# Where schemas keep what they refer to.
_DEFINITIONS = ("$defs", "definitions")


def tool_grammar(
    tools: Sequence[Tool], call: Callable[[Tool], str], *, start: str, parallel: bool, more: str = ""
) -> Constraint:
    """The grammar of an answer that calls one of the tools, or with `parallel` any number of them.

    Args:
        tools: what may be called.
        call: the body of the rule for a call of one tool.
        start: the whole answer, with `calls` where the calls stand.
        parallel: whether there may be more than one.
        more: what stands between two calls.
    """
    names = [f"call_{number}" for number in range(len(tools))]
    lines = [f"start: {start}", f"calls: call ({more} call)*" if parallel else "calls: call"]
    lines.append(f"call: {' | '.join(names)}")
    lines += [f"{name}: {call(tool)}" for name, tool in zip(names, tools, strict=True)]
    return Constraint("lark", "\n".join(lines) + "\n", param="tools")


def text(value: str) -> str:
    """A string literal."""
    return json.dumps(value, ensure_ascii=False)


def arguments(tool: Tool) -> str:
    """The JSON of a tool's arguments."""
    return _json(_arguments_schema(tool), tool)


def argument(tool: Tool, name: str) -> str:
    """The JSON of one argument alone."""
    schema = _arguments_schema(tool)
    properties = schema.get("properties")
    value = properties.get(name) if isinstance(properties, dict) else None
    definitions = {place: schema[place] for place in _DEFINITIONS if place in schema}
    return _json({**(value if isinstance(value, dict) else {}), **definitions}, tool)


def named_arguments(tool: Tool, *, key: str = "arguments") -> str:
    """The JSON object of a tool's name and its arguments."""
    schema = _arguments_schema(tool)
    # References begin at the root of a schema, so what they name moves there.
    definitions = {place: schema.pop(place) for place in _DEFINITIONS if place in schema}
    call = {
        "type": "object",
        "properties": {"name": {"const": tool.name}, key: schema},
        "required": ["name", key],
        "additionalProperties": False,
    }
    return _json({**call, **definitions}, tool)


def _arguments_schema(tool: Tool) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object", **tool.parameters}
    if "properties" in schema or not tool.parameters:
        # A schema that says nothing allows any further argument, and then models invent some.
        schema.setdefault("additionalProperties", False)
    return schema


def _json(schema: dict[str, object], tool: Tool) -> str:
    written = {"x-guidance": {**_WRITTEN, "lenient": not tool.strict}, **schema}
    return f"%json {json.dumps(written, ensure_ascii=False)}"
