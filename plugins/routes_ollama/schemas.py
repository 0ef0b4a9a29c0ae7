"""JSON schemas as Ollama reads them: an object has the properties that are listed, and no others.

By the letter of JSON Schema anything may stand beside them. Clients send the schemas of their classes without a word on
that and expect what Ollama gives them, which builds its grammars from the listed properties alone; and a small model
that may add properties adds them until the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPEN_ENDED = ("additionalProperties", "patternProperties", "unevaluatedProperties")
BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
SINGLE = ("items", "additionalProperties")


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with every object in it closed that does not say itself whether it is.

    Where parts are put together with `allOf`, each part lists only some of the properties, so the schema stays as it
    is.
    """
    return dict(schema) if any(_combines(s) for s in _all(schema)) else _closed(schema)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(schema)
    for key in BY_NAME:
        if isinstance(value := found.get(key), dict):
            found[key] = {name: _closed(s) if isinstance(s, dict) else s for name, s in value.items()}
    for key in LISTS:
        if isinstance(value := found.get(key), list):
            found[key] = [_closed(s) if isinstance(s, dict) else s for s in value]
    for key in SINGLE:
        if isinstance(value := found.get(key), dict):
            found[key] = _closed(value)
    if "properties" in found and not any(key in found for key in OPEN_ENDED):
        found["additionalProperties"] = False
    return found


def _all(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema and those within it."""
    waiting: list[Mapping[str, Any]] = [schema]
    while waiting:
        found = waiting.pop()
        yield found
        values = [found.get(key) for key in SINGLE]
        for key in BY_NAME:
            values += value.values() if isinstance(value := found.get(key), dict) else ()
        for key in LISTS:
            values += value if isinstance(value := found.get(key), list) else ()
        waiting += [v for v in values if isinstance(v, dict)]


def _combines(schema: Mapping[str, Any]) -> bool:
    parts = schema.get("allOf")
    return isinstance(parts, list) and len(parts) + ("properties" in schema) > 1
