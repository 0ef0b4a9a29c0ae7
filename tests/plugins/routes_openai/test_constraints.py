from __future__ import annotations

from typing import Any

import pytest

from hoshikage import Constraint
from hoshikage.plugins.routes_openai.constraints import constraint
from tests.plugins.routes_openai.made import chat, completion, refusal

SCHEMA = {"type": "object", "properties": {"星": {"type": "integer"}}, "required": ["星"]}
SOURCE = '{"type":"object","properties":{"星":{"type":"integer"}},"required":["星"]}'
NAMED = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True}}

FORMS = [
    ({"response_format": {"type": "json_object"}}, Constraint("json_object", "", "response_format")),
    ({"response_format": NAMED}, Constraint("json_schema", SOURCE, "response_format.json_schema.schema")),
    (
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        Constraint("json_schema", SOURCE, "response_format.schema"),
    ),
    (
        {"response_format": {"type": "json_schema", "schema": SCHEMA}},
        Constraint("json_schema", SOURCE, "response_format.schema"),
    ),
    ({"json_schema": SCHEMA}, Constraint("json_schema", SOURCE, "json_schema")),
    ({"json_schema": {}}, Constraint("json_schema", "{}", "json_schema")),
    ({"grammar": 'root ::= "a"'}, Constraint("gbnf", 'root ::= "a"', "grammar")),
    ({"guided_json": SCHEMA}, Constraint("json_schema", SOURCE, "guided_json")),
    ({"guided_json": SOURCE}, Constraint("json_schema", SOURCE, "guided_json")),
    ({"guided_regex": "[ab]+"}, Constraint("regex", "[ab]+", "guided_regex")),
    ({"guided_choice": ["はい", "no"]}, Constraint("choice", '["はい","no"]', "guided_choice")),
    ({"guided_grammar": "start: A"}, Constraint("lark", "start: A", "guided_grammar")),
    ({"structured_outputs": {"json": SCHEMA}}, Constraint("json_schema", SOURCE, "structured_outputs.json")),
    ({"structured_outputs": {"regex": "a"}}, Constraint("regex", "a", "structured_outputs.regex")),
    ({"structured_outputs": {"choice": ["a"]}}, Constraint("choice", '["a"]', "structured_outputs.choice")),
    ({"structured_outputs": {"grammar": "start: A"}}, Constraint("lark", "start: A", "structured_outputs.grammar")),
    ({"structured_outputs": {"json_object": True}}, Constraint("json_object", "", "structured_outputs.json_object")),
]


@pytest.mark.parametrize(("fields", "expected"), FORMS, ids=[c.param for _, c in FORMS])
@pytest.mark.parametrize("ask", [chat, completion])
def test_every_name_of_a_form_is_understood(ask: Any, fields: dict[str, Any], expected: Constraint):
    """Each field gives its kind of constraint, and errors of the engine will name that field."""
    assert expected == constraint(ask(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"response_format": {"type": "text"}},
        {"grammar": ""},
        {"guided_json": "", "guided_regex": "", "guided_grammar": ""},
        {"structured_outputs": {}},
        {"structured_outputs": {"json_object": False, "json": None}},
    ],
)
def test_nothing_asked_is_no_form(fields: dict[str, Any]):
    """Text, empty texts and empty objects ask for no form."""
    assert constraint(chat(**fields)) is None


@pytest.mark.parametrize(("fields", "first"), FORMS, ids=[c.param for _, c in FORMS])
def test_two_forms_are_refused_by_both_names(fields: dict[str, Any], first: Constraint):
    """Two forms at once are refused, and the error names both."""
    other = {"grammar": "x"} if "grammar" not in fields else {"guided_regex": "x"}
    error = refusal(constraint, chat(**fields, **other))

    assert first.param in error.message
    assert next(iter(other)) in error.message


def test_two_forms_within_vllms_object_are_two():
    """The object holds one form as well."""
    error = refusal(constraint, chat(structured_outputs={"regex": "a", "choice": ["a"]}))

    assert "structured_outputs.choice" == error.param
    assert "structured_outputs.regex" in error.message


def test_text_goes_with_any_form():
    """A `response_format` of text does not forbid another field's form."""
    assert constraint(chat(response_format={"type": "text"}, guided_regex="a")) is not None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": "[1]"}, "guided_json"),
        ({"structured_outputs": {"json": "true"}}, "structured_outputs.json"),
    ],
)
def test_what_is_no_form_is_refused(fields: dict[str, Any], field: str):
    """An unknown type, a missing schema and a text that is no schema are refused by name."""
    assert field == refusal(constraint, chat(**fields)).param
