"""Whether a text is JSON that fits a schema, judged by somebody else than the engine."""

from __future__ import annotations

import importlib
import json
from typing import Any


class NoJudge(Exception):
    """The package that judges is not installed."""


def misfit(text: str, schema: dict[str, Any]) -> str:
    """What is wrong with a text; empty if it fits.

    Raises:
        NoJudge: the extra `bench` is not installed.
    """
    try:
        jsonschema: Any = importlib.import_module("jsonschema")
    except ImportError as error:
        raise NoJudge("checking answers needs jsonschema: pip install 'hoshikage[bench]'") from error
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{text[:100]!r} does not fit its schema: {str(error).splitlines()[0]}"
    return ""
