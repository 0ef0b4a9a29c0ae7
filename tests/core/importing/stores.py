"""Folders as other programs keep their models in."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.core.gguf import raw_gguf
from tests.core.gguf.raw_gguf import ARCHITECTURE, SMALL, STRING, gguf, pair, tensor, text

if TYPE_CHECKING:
    from pathlib import Path

SIGHT = gguf(pairs=(pair("general.architecture", STRING, text("clip")),))
LORA = gguf(pairs=(ARCHITECTURE, pair("general.type", STRING, text("adapter"))))
TEMPLATE = "{{ range .Messages }}{{ .Content }}{{ end }}"


def split_part(number: int, count: int) -> bytes:
    """One part of a split model."""
    return raw_gguf.split_part(number, (tensor(f"t{number}"),), count=count, total=count, pairs=(ARCHITECTURE,))


def put_blob(root: Path, content: bytes | str | Any) -> str:
    """Write a blob of an Ollama store; returns its digest."""
    raw = (
        content
        if isinstance(content, bytes)
        else content.encode()
        if isinstance(content, str)
        else json.dumps(content).encode()
    )
    digest = hashlib.sha256(raw).hexdigest()
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    (root / "blobs" / f"sha256-{digest}").write_bytes(raw)
    return f"sha256:{digest}"


def put_manifest(root: Path, where: str, content: Any) -> Path:
    """Write a manifest, as it stands or as JSON."""
    file = root / "manifests" / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file


def layer(kind: str, digest: str) -> dict[str, Any]:
    """A layer of a manifest."""
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": 1}


def put_model(root: Path, where: str = "registry.ollama.ai/library/star/latest", **layers: Any) -> Path:
    """Write a model with its blobs; each layer has one content, or several."""
    given = {k: v if isinstance(v, tuple) else (v,) for k, v in {"model": SMALL, **layers}.items()}
    made = [layer(kind, put_blob(root, content)) for kind, contents in given.items() for content in contents]
    return put_manifest(root, where, {"schemaVersion": 2, "config": {"digest": "sha256:x"}, "layers": made})
