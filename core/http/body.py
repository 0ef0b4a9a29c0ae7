"""Reading a request body: strict JSON, then the typed shape that the route expects."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
import orjson
from quart import request

from hoshikage.core.errors import InvalidRequest

T = TypeVar("T")

_PATH = re.compile(r" - at `(?P<key>key in )?\$(?P<path>[^`]*)`$")


async def read_body(shape: type[T]) -> T:
    """Read the current request's body as `shape`, whatever content type the client claims.

    JSON is read by orjson, which refuses NaN, lone surrogates, bad UTF-8 and deep nesting. Unknown fields are
    passed over.

    Raises:
        InvalidRequest: no body, no JSON object, or a field that is missing, mistyped or out of range.
    """
    data = await request.get_data(cache=False, as_text=False)
    if not data.strip():
        raise InvalidRequest("missing request body")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is no valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {_kind(value)}")
    return check(value, shape)


def check(value: Any, shape: type[T]) -> T:
    """Check a JSON value against a typed shape.

    Raises:
        InvalidRequest: naming the field, what was found and what is allowed.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        message = str(error)
        found = _PATH.search(message)
        field = found["path"].removeprefix(".") if found else ""
        reason = _PATH.sub("", message)
        if missing := re.search(r"missing required field `(\w+)`", message):
            field, reason = f"{field}.{missing[1]}".removeprefix("."), "this field is required"
        raise InvalidRequest(f"{field}: {reason}" if field else reason, param=field or None) from error


def json_text(value: object, field: str) -> str:
    """A value of any shape from a body, as JSON text for those who read it later.

    Raises:
        InvalidRequest: it is nested so deeply that no reader here takes it; a body may be nested deeper than that.
    """
    try:
        return orjson.dumps(value).decode()
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidRequest(f"{field}: this is nested too deeply; send something flatter", param=field) from error


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
