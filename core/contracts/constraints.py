"""The form that an answer must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ConstraintKind = Literal["json_object", "json_schema", "regex", "choice", "lark", "gbnf"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A form that every answer to the request has, whatever the model would rather say.

    Attributes:
        kind: how `source` is written.
        source: the JSON schema, as JSON text; the regular expression; a JSON array of the strings to choose from;
            the Lark or GBNF grammar. Empty for `json_object`.
        param: the request's field that it came from, for error messages.
    """

    kind: ConstraintKind
    source: str = ""
    param: str = "response_format"
