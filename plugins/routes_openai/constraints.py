"""The form of an answer: one thing, for which clients have a dozen names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from hoshikage import Constraint
from hoshikage.core.errors import InvalidRequest
from hoshikage.core.http.body import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hoshikage.plugins.routes_openai.bodies import GenerationBody, ResponseFormat, StructuredOutputs


def constraint(body: GenerationBody) -> Constraint | None:
    """The form that a body asks for; empty texts ask for none.

    Raises:
        InvalidRequest: it asks for two at once, or in unknown words.
    """
    found = list(_candidates(body))
    if len(found) > 1:
        first, second = found[0].param, found[1].param
        raise InvalidRequest(
            f"{second}: the form of the answer is already given by {first}; send only one of them", param=second
        )
    return found[0] if found else None


def _candidates(body: GenerationBody) -> Iterator[Constraint]:
    if body.response_format is not None:
        yield from _response_format(body.response_format)
    if body.json_schema is not None:
        yield _schema(body.json_schema, "json_schema")
    if body.grammar:
        yield Constraint("gbnf", body.grammar, "grammar")
    yield from _forms("guided_", body.guided_json, body.guided_regex, body.guided_choice, body.guided_grammar)
    if body.structured_outputs is not None:
        yield from _structured_outputs(body.structured_outputs)


def _response_format(body: ResponseFormat) -> Iterator[Constraint]:
    named = body.json_schema.schema if body.json_schema else None
    schema, field = (body.schema, "schema") if named is None else (named, "json_schema.schema")
    match body.type:
        case "text":
            return
        case "json_object" | "json_schema" if schema is not None:
            yield _schema(schema, f"response_format.{field}")
        case "json_object":
            yield Constraint("json_object", "", "response_format")
        case "json_schema":
            raise InvalidRequest(
                "response_format.json_schema.schema: this field is required", param="response_format.json_schema.schema"
            )
        case other:
            raise InvalidRequest(
                f"response_format.type: {other[:40]!r} is unknown; send text, json_object or json_schema",
                param="response_format.type",
            )


def _structured_outputs(body: StructuredOutputs) -> Iterator[Constraint]:
    yield from _forms("structured_outputs.", body.json, body.regex, body.choice, body.grammar)
    if body.json_object:
        yield Constraint("json_object", "", "structured_outputs.json_object")


def _forms(
    prefix: str, schema: str | dict[str, Any] | None, regex: str | None, choice: list[str] | None, grammar: str | None
) -> Iterator[Constraint]:
    """What vLLM's four fields ask for; a grammar there is Lark here."""
    if isinstance(schema, dict) or schema:
        field = f"{prefix}json"
        yield _schema(schema if isinstance(schema, dict) else _schema_of(schema, field), field)
    if regex:
        yield Constraint("regex", regex, f"{prefix}regex")
    if choice:
        yield Constraint("choice", json_text(choice, f"{prefix}choice"), f"{prefix}choice")
    if grammar:
        yield Constraint("lark", grammar, f"{prefix}grammar")


def _schema_of(text: str, field: str) -> dict[str, Any]:
    """A schema that came as a text."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{field}: this is no valid JSON: {error}", param=field) from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field}: this must be a JSON schema, an object", param=field)
    return value


def _schema(value: dict[str, Any], field: str) -> Constraint:
    return Constraint("json_schema", json_text(value, field), field)
