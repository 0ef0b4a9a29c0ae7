"""The companions of the model map: `tags_cache.json` and `tags_ollama.json`, in the predecessor's format."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import orjson

from hoshikage.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hoshikage.core.contracts import ModelFacts, ModelRecord
    from hoshikage.core.registry import RegistryFiles

# Constants of the predecessor's files; programs that read them compare them.
OLD_CREATED = 1_686_935_002
OLD_OWNER = "tane"
OLD_FAMILIES = "null"  # a string, not JSON's null


def write_tags(files: RegistryFiles, models: Sequence[tuple[ModelRecord, ModelFacts]]) -> None:
    """Write both files anew, each atomically.

    Raises:
        OSError: a file cannot be written.
    """
    write_atomically(files.tags_cache, _dump(tags_cache([record for record, _ in models])))
    write_atomically(files.tags_ollama, _dump(tags_ollama(models)))


def tags_cache(records: Sequence[ModelRecord]) -> dict[str, Any]:
    """The OpenAI list."""
    rows = [{"id": r.name, "object": "model", "created": OLD_CREATED, "owned_by": OLD_OWNER} for r in records]
    return {"object": "list", "data": rows}


def tags_ollama(models: Sequence[tuple[ModelRecord, ModelFacts]]) -> dict[str, Any]:
    """The Ollama list; `modified_at` is local time without an offset, as it always was here."""
    return {"models": [_ollama_row(record, facts) for record, facts in models]}


def _ollama_row(record: ModelRecord, facts: ModelFacts) -> dict[str, Any]:
    modified = datetime.datetime.fromtimestamp(record.modified_at).astimezone().replace(tzinfo=None)
    return {
        "name": record.name,
        "model": record.name if ":" in record.name.rpartition("/")[2] else f"{record.name}:latest",
        "modified_at": modified.isoformat(),
        "size": record.size_bytes,
        "digest": record.digest,
        "details": {
            "format": "gguf",
            "family": facts.architecture,
            "families": OLD_FAMILIES,
            "parameter_size": facts.parameter_size,
            "quantization_level": facts.quantization,
        },
    }


def _dump(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
