"""Models as Ollama shows them: what there is, what is loaded, and all of one."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from hoshikage.core.gotemplate.effective import JINJA_MARK
from hoshikage.core.http.times import rfc3339
from hoshikage.plugins.routes_ollama.modelfile import modelfile, parameter_lines

if TYPE_CHECKING:
    from collections.abc import Collection

    from hoshikage import ModelFacts, ModelRecord, StagedView
    from hoshikage.core.contracts import LoadedView
    from hoshikage.core.registry import ModelEntry

FOREVER = "9999-12-31T23:59:59.000000+00:00"
CAPABILITIES = ("completion", "tools", "insert", "embedding", "thinking")  # in Ollama's order
# Editors look for this word of Ollama's template language, to know whether a model fills gaps. Here it is a comment,
# in Jinja2 and in Ollama's own.
INSERT_MARK = "{#- takes .Suffix -#}"
GO_INSERT_MARK = "{{- /* takes .Suffix */ -}}"
_GO_FIELD = re.compile(r"\{\{-?\s*(?:\w+\s+)*\$?\.[A-Z]")


def tag_row(
    record: ModelRecord, facts: ModelFacts, capabilities: Collection[str], *, parent: str = ""
) -> dict[str, Any]:
    """One row of `/api/tags`."""
    return {
        "name": tagged(record.name),
        "model": tagged(record.name),
        "modified_at": rfc3339(record.modified_at),
        "size": record.size_bytes,
        "digest": digest_of(record),
        "details": details(facts, parent),
        "capabilities": in_order(capabilities),
    }


def ps_row(view: LoadedView, facts: ModelFacts, *, parent: str = "") -> dict[str, Any]:
    """One row of `/api/ps`."""
    return {
        "name": tagged(view.record.name),
        "model": tagged(view.record.name),
        "size": view.size_bytes,
        "digest": digest_of(view.record),
        "details": details(facts, parent),
        "expires_at": FOREVER if view.expires_at is None else rfc3339(view.expires_at),
        "size_vram": view.memory.vram_bytes,
        "context_length": view.context_length,
        "staged": view.staged,
        "pinned": view.pinned,
    }


def staged_row(view: StagedView) -> dict[str, Any]:
    """One copy on the RAM disk, which is no part of Ollama's answer: its clients pass over it."""
    return {
        "file": str(view.file),
        "size": view.size_bytes,
        "completed": view.done_bytes,
        "state": view.state,
        "pinned": view.pinned,
        "last_used": rfc3339(view.last_used),
    }


def show_body(
    record: ModelRecord,
    facts: ModelFacts,
    capabilities: Collection[str],
    *,
    basename: str | None,
    entry: ModelEntry | None = None,
) -> dict[str, Any]:
    """The answer of `/api/show`; `model_info` must never be missing."""
    info: dict[str, Any] = {**facts.metadata, "general.architecture": facts.architecture}
    info["general.parameter_count"] = facts.parameter_count
    info["general.basename"] = basename or info.get("general.basename") or facts.name or record.name
    template = entry.template if entry and entry.template else facts.chat_template
    body = {
        "modelfile": modelfile(record, entry),
        "parameters": "\n".join(parameter_lines(record)),
        "template": _with_mark(template) if "insert" in capabilities else template,
        "details": details(facts, entry.parent if entry else ""),
        "model_info": info,
        "capabilities": in_order(capabilities),
        "modified_at": rfc3339(record.modified_at),
        "system": record.system,
        "license": entry.license if entry else "",
        "messages": [{"role": m.role, "content": m.content} for m in record.messages],
    }
    optional = ("system", "license", "messages")  # clients show what is there, even if it is empty
    return {name: value for name, value in body.items() if value or name not in optional}


def digest_of(record: ModelRecord) -> str:
    """What tells a model from all others: clients take two of one digest for one model.

    Two models of one file differ by what is said to it.
    """
    said = [record.template, record.system, record.parameters, [(m.role, m.content) for m in record.messages]]
    if not any(said):
        return record.digest
    return hashlib.sha256(f"{record.digest} {json.dumps(said, sort_keys=True)}".encode()).hexdigest()


def _with_mark(template: str) -> str:
    if ".Suffix" in template:
        return template
    is_go = JINJA_MARK not in template and _GO_FIELD.search(template) is not None
    return template + (GO_INSERT_MARK if is_go else INSERT_MARK)


def details(facts: ModelFacts, parent: str = "") -> dict[str, Any]:
    """What a model is, in short."""
    return {
        "parent_model": parent,
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
