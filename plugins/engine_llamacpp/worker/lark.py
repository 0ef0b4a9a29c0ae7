"""Makes a Lark grammar fit a model: special tokens for their texts, and JSON without endless white space."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a string literal can be confused with stands before it: comments, regular expressions, values of attributes.
_PARTS = re.compile(
    r"""
      (?P<other> //[^\n]* | \#[^\n]* | /(?!/)(?:\\.|[^/\\\n])+/ | =\s*"(?:\\.|[^"\\\n])*" )
    | (?P<text> "(?:\\.|[^"\\\n])*" (?!i\b) )
    | (?P<embedded> %(?:json|regex|llguidance|lark)\s* (?=\{) )
    """,
    re.VERBOSE,
)
_EMPTY_OBJECT = re.compile(r"\{\s*\}")


def prepare_lark(source: str, tokens: Mapping[str, int], json_options: Mapping[str, object]) -> str:
    """Rewrite a grammar for one vocabulary.

    Args:
        source: the grammar, in llguidance's dialect.
        tokens: texts that are one token of the vocabulary. Where they stand in a string literal, only the token will
            match, not its letters.
        json_options: how JSON is written in `%json` parts that do not say so themselves.
    """
    return "".join(_rewritten(source, tokens, json_options))


def _rewritten(source: str, tokens: Mapping[str, int], json_options: Mapping[str, object]) -> Iterator[str]:
    at = 0
    while (found := _PARTS.search(source, at)) is not None:
        yield source[at : found.start()]
        at = found.end()
        if found["text"]:
            yield _literal(found["text"], tokens)
            continue
        yield found[0]
        if found["embedded"]:
            end = _object_end(source, at)
            embedded = source[at:end]
            yield _with_options(embedded, json_options) if found[0].startswith("%json") else embedded
            at = end
    yield source[at:]


def _literal(literal: str, tokens: Mapping[str, int]) -> str:
    """A string literal with tokens in the place of their texts."""
    if not tokens:
        return literal
    try:
        text = json.loads(literal)
    except ValueError:
        return literal  # llguidance will say what is wrong with it
    longest_first = sorted(tokens, key=len, reverse=True)
    pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
    if len(pieces) == 1:
        return literal
    written = [f"<[{tokens[p]}]>" if p in tokens else json.dumps(p, ensure_ascii=False) for p in pieces if p]
    return written[0] if len(written) == 1 else f"({' '.join(written)})"


def _object_end(source: str, start: int) -> int:
    """Where the JSON object ends that begins at `start`; where it is no JSON, llguidance will say so."""
    try:
        return json.JSONDecoder().raw_decode(source, start)[1]
    except (ValueError, RecursionError):
        return start


def _with_options(schema: str, options: Mapping[str, object]) -> str:
    """A schema that says how its JSON is written."""
    if not schema or "x-guidance" in json.loads(schema):
        return schema
    said = f'{{"x-guidance": {json.dumps(options)}'
    return f"{said}}}" if _EMPTY_OBJECT.fullmatch(schema) else f"{said}, {schema[1:]}"
