from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from hoshikage.plugins.routes_ollama.schemas import closed

TEXT = {"type": "string"}
OPEN = {"type": "object", "properties": {"a": TEXT}}
CLOSED = {**OPEN, "additionalProperties": False}


class Moon(BaseModel):
    name: str


class Planet(BaseModel):
    kind: Literal["rock", "gas"]
    moons: list[Moon]
    largest: Moon | None = None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (OPEN, CLOSED),
        ({"type": "object", "properties": {"b": OPEN}}, {**CLOSED, "properties": {"b": CLOSED}}),
        ({"type": "array", "items": OPEN}, {"type": "array", "items": CLOSED}),
        ({"prefixItems": [OPEN, True]}, {"prefixItems": [CLOSED, True]}),
        ({"items": [OPEN]}, {"items": [CLOSED]}),
        ({"anyOf": [OPEN, TEXT]}, {"anyOf": [CLOSED, TEXT]}),
        ({"oneOf": [OPEN]}, {"oneOf": [CLOSED]}),
        ({"allOf": [OPEN]}, {"allOf": [CLOSED]}),
        ({"$ref": "#/$defs/x", "$defs": {"x": OPEN}}, {"$ref": "#/$defs/x", "$defs": {"x": CLOSED}}),
        ({"definitions": {"x": OPEN}}, {"definitions": {"x": CLOSED}}),
        ({"additionalProperties": OPEN}, {"additionalProperties": CLOSED}),
        ({"patternProperties": {"^x": OPEN}}, {"patternProperties": {"^x": CLOSED}}),
    ],
)
def test_objects_are_closed_wherever_they_stand(given: dict[str, Any], expected: dict[str, Any]):
    """An object that lists its properties has no others, at every place that a schema has for schemas."""
    assert expected == closed(given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"type": "object"},
        TEXT,
        {**OPEN, "additionalProperties": True},
        {**OPEN, "additionalProperties": TEXT},
        {**OPEN, "patternProperties": {"^x": TEXT}},
        {**OPEN, "unevaluatedProperties": True},
        {"enum": [{"properties": {"a": 1}}]},
        {"const": {"properties": {"a": 1}}},
        {"type": "object", "additionalProperties": False, "properties": {"default": {"default": OPEN}}},
        {"not": OPEN},
    ],
)
def test_who_says_what_else_may_come_is_obeyed(given: dict[str, Any]):
    """Objects that are open by their own word, objects of any kind, and values that only look like schemas stay."""
    assert given == closed(given)


@pytest.mark.parametrize(
    "given",
    [
        {"allOf": [OPEN, {"properties": {"b": TEXT}}]},
        {**OPEN, "allOf": [{"properties": {"b": TEXT}}]},
        {"properties": {"c": {"allOf": [{"$ref": "#/$defs/x"}, OPEN]}}, "$defs": {"x": OPEN}},
        {"items": [{"anyOf": [{"allOf": [OPEN, OPEN]}]}]},
    ],
)
def test_parts_that_are_put_together_stay_open(given: dict[str, Any]):
    """Each part lists some of the properties only: closed, no object could satisfy them all."""
    assert given == closed(given)


def test_properties_may_have_any_name():
    """A property that is called like a word of the schema language is a property."""
    odd = {"properties": {"properties": OPEN, "allOf": TEXT, "items": TEXT}}

    assert {
        "properties": {"properties": CLOSED, "allOf": TEXT, "items": TEXT},
        "additionalProperties": False,
    } == closed(odd)


def test_nonsense_is_left_to_who_reads_it():
    """What is no schema is refused later, by name; here it does no harm."""
    odd: dict[str, Any] = {"properties": [1], "items": 5, "anyOf": {"a": 1}, "$defs": {"x": 1}, "allOf": "no"}

    assert {**odd, "additionalProperties": False} == closed(odd)


def test_a_class_is_closed_with_all_that_it_holds():
    """The schemas that the official clients send come from classes."""
    schema = Planet.model_json_schema()
    kept = copy.deepcopy(schema)
    found = closed(schema)

    assert found["additionalProperties"] is False
    assert found["$defs"]["Moon"]["additionalProperties"] is False
    assert kept == schema
