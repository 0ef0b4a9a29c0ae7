"""A model as a Modelfile: the lines from which it could be made again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hoshikage.core.parameters import ADAPTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hoshikage import ModelRecord
    from hoshikage.core.registry import ModelEntry

# What a line of parameters does not show: it has lines of its own.
HIDDEN = (ADAPTERS,)


def modelfile(record: ModelRecord, entry: ModelEntry | None) -> str:
    """The whole file."""
    return "\n".join(_lines(record, entry))


def parameter_lines(record: ModelRecord) -> list[str]:
    """Parameters as Ollama prints them: the name in 30 columns, strings quoted, a line for each value of a list."""
    given = {"stop": list(record.stop), **{n: v for n, v in record.options.items() if n not in HIDDEN}}
    lines = [_line(name, v) for name, value in given.items() for v in _values(name, value)]
    own = {name: value for name, value in record.parameters.items() if name not in HIDDEN}
    return lines + [_line(name, v) for name, value in own.items() for v in _values(name, value)]


def _lines(record: ModelRecord, entry: ModelEntry | None) -> Iterator[str]:
    yield f"FROM {record.file.name if record.file else record.name}"
    adapters = record.options.get("adapters")
    for file in adapters.values() if isinstance(adapters, dict) else ():
        yield f"ADAPTER {str(file).rpartition('/')[2]}"
    if entry and entry.template:
        yield f"TEMPLATE {_quoted(entry.template)}"
    yield from (f"PARAMETER {line}" for line in parameter_lines(record))
    if record.system:
        yield f"SYSTEM {_quoted(record.system)}"
    for message in record.messages:
        yield f"MESSAGE {message.role} {_quoted(message.content)}"
    if entry and entry.license:
        yield f"LICENSE {_quoted(entry.license)}"


def _quoted(text: str) -> str:
    """A text as a Modelfile writes it: what fits on a line needs no quotes."""
    plain = text and "\n" not in text and '"' not in text and text == text.strip()
    return text if plain else f'"""{text}"""'


def _values(name: str, value: object) -> list[object]:
    """The values that have a line each: of our own options a list is one value."""
    return value if name == "stop" and isinstance(value, list) else [value]


def _line(name: str, value: object) -> str:
    return f"{name:<30} {json.dumps(value, ensure_ascii=False)}"
