"""JSON schemas with short answers that are hard to keep to, and a check of what came out."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

_POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": -9, "maximum": 9}, "y": {"type": "number", "minimum": 0}},
    "required": ["x"],
    "additionalProperties": False,
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "person": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "role": {"enum": ["admin", "user", "guest"]},
            "active": {"type": "boolean"},
        },
        "required": ["name", "age", "role"],
        "additionalProperties": False,
    },
    "nested": {
        "type": "object",
        "properties": {
            "from": {"$ref": "#/$defs/point"},
            "to": {"anyOf": [{"$ref": "#/$defs/point"}, {"type": "null"}]},
        },
        "required": ["from", "to"],
        "additionalProperties": False,
        "$defs": {"point": _POINT},
    },
    "numbers": {
        "type": "array",
        "items": {"type": "integer", "exclusiveMinimum": -3, "maximum": 1200, "multipleOf": 3},
        "minItems": 2,
        "maxItems": 4,
    },
    "patterns": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
            "id": {"type": "string", "format": "uuid"},
            "host": {"type": "string", "format": "ipv4"},
        },
        "required": ["code", "id", "host"],
        "additionalProperties": False,
    },
    "one_of": {
        "oneOf": [
            {"type": "integer", "minimum": -50, "maximum": 50},
            {"type": "string", "maxLength": 6},
            {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        ]
    },
    "any_of": {
        "anyOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "circle"}, "radius": {"type": "integer", "minimum": 1, "maximum": 99}},
                "required": ["kind", "radius"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"kind": {"const": "label"}, "text": {"type": "string", "maxLength": 8}},
                "required": ["kind", "text"],
                "additionalProperties": False,
            },
        ]
    },
    "unicode": {
        "type": "object",
        "properties": {
            "名前": {"type": "string", "pattern": "^[ぁ-ん]{1,4}$"},
            "mood": {"enum": ["😀", "déçu", '"quoted" \\ back', "星影"]},
        },
        "required": ["名前", "mood"],
        "additionalProperties": False,
    },
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "string", "maxLength": 4}, {"type": "integer", "minimum": 1, "maximum": 3}, _POINT],
        "items": False,
        "minItems": 3,
    },
    "optional": {
        "type": "object",
        "properties": {
            "a": {"type": "null"},
            "b": {"type": "boolean"},
            "c": {"type": "array", "items": {"enum": [1, "1", None, [], {}]}, "maxItems": 3},
        },
        "additionalProperties": False,
    },
}


_VALIDATORS = {
    name: jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for name, schema in SCHEMAS.items()
}


def check(text: bytes, name: str) -> None:
    """Fail unless a text is JSON, in UTF-8, and follows the schema of that name."""
    _VALIDATORS[name].validate(json.loads(text.decode("utf-8", "strict")))
