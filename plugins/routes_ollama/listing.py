"""Models as Ollama shows them: what there is, what is loaded, and all of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hoshikage.core.http.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection

    from hoshikage import ModelFacts, ModelRecord
    from hoshikage.core.contracts import LoadedView

FOREVER = "9999-12-31T23:59:59.000000+00:00"
CAPABILITIES = ("completion", "tools", "insert", "embedding", "thinking")  # in Ollama's order
# Editors look for this word of Ollama's template language, to know whether a model fills gaps. In Jinja2 it is a
# comment.
INSERT_MARK = "{#- takes .Suffix -#}"


def tag_row(record: ModelRecord, facts: ModelFacts, capabilities: Collection[str]) -> dict[str, Any]:
    """One row of `/api/tags`."""
    return {
        "name": tagged(record.name),
        "model": tagged(record.name),
        "modified_at": rfc3339(record.modified_at),
        "size": record.size_bytes,
        "digest": record.digest,
        "details": details(facts),
        "capabilities": in_order(capabilities),
    }


def ps_row(view: LoadedView, facts: ModelFacts) -> dict[str, Any]:
    """One row of `/api/ps`."""
    return {
        "name": tagged(view.record.name),
        "model": tagged(view.record.name),
        "size": view.size_bytes,
        "digest": view.record.digest,
        "details": details(facts),
        "expires_at": FOREVER if view.expires_at is None else rfc3339(view.expires_at),
        "size_vram": view.memory.vram_bytes,
        "context_length": view.context_length,
    }


def show_body(
    record: ModelRecord, facts: ModelFacts, capabilities: Collection[str], *, basename: str | None
) -> dict[str, Any]:
    """The answer of `/api/show`; `model_info` must never be missing."""
    info: dict[str, Any] = {**facts.metadata, "general.architecture": facts.architecture}
    info["general.parameter_count"] = facts.parameter_count
    info["general.basename"] = basename or info.get("general.basename") or facts.name or record.name
    parameters = parameter_lines(record)
    source = record.file.name if record.file else record.name
    return {
        "modelfile": "\n".join([f"FROM {source}", *(f"PARAMETER {p}" for p in parameters)]),
        "parameters": "\n".join(parameters),
        "template": facts.chat_template + (INSERT_MARK if "insert" in capabilities else ""),
        "details": details(facts),
        "model_info": info,
        "capabilities": in_order(capabilities),
        "modified_at": rfc3339(record.modified_at),
    }


def parameter_lines(record: ModelRecord) -> list[str]:
    """Parameters as Ollama prints them: the name in 30 columns, strings quoted."""
    stops = [f"{'stop':<30} {json.dumps(s, ensure_ascii=False)}" for s in record.stop]
    return stops + [f"{name:<30} {json.dumps(value)}" for name, value in record.options.items()]


def details(facts: ModelFacts) -> dict[str, Any]:
    """What a model is, in short."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": facts.architecture,
        "families": [facts.architecture] if facts.architecture else [],
        "parameter_size": facts.parameter_size,
        "quantization_level": facts.quantization,
        "context_length": facts.context_length,
        "embedding_length": facts.embedding_length,
    }


def in_order(capabilities: Collection[str]) -> list[str]:
    """What a model can do, in Ollama's order; words that it does not have come last."""
    known = [c for c in CAPABILITIES if c in capabilities]
    return known + sorted(set(capabilities) - set(known))


def tagged(name: str) -> str:
    """A name as Ollama shows it: with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
