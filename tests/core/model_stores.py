"""A model store over real files, and all that it stands on."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

from hoshikage.core.blobs import BlobStore
from hoshikage.core.creation import NewModel
from hoshikage.core.gguf import DigestCache
from hoshikage.core.model_store import ModelStore
from tests.core.gguf.raw_gguf import ARCHITECTURE, split_part, tensor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hoshikage.core.catalog import Catalog
    from hoshikage.core.registry import ModelEntry, Registry


def part(number: int, count: int = 2, seed: bytes = b"\0") -> bytes:
    """One part of a split model."""
    return split_part(number, (tensor(f"t{number}"),), count=count, total=count, pairs=(ARCHITECTURE,)) + seed


@dataclasses.dataclass
class World:
    """A store, and all that it stands on."""

    store: ModelStore
    registry: Registry
    blobs: BlobStore
    digests: DigestCache
    links: Path
    changes: list[str]

    async def send(self, content: bytes) -> str:
        """Give a blob to the store; returns its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        await self.store.take_blob(digest, chunks())
        return digest

    async def create(self, name: str = "new", **fields: Any) -> list[str]:
        return [step async for step in self.store.create(NewModel(name, **fields))]

    def entry(self, name: str) -> ModelEntry:
        found = self.store.entry(name)
        assert found is not None
        return found


def world_over(folder: Path, registry: Registry, catalog: Catalog) -> World:
    """A store over the catalogue, which keeps its files in a folder."""
    blobs, digests, changes = BlobStore(folder / "blobs"), DigestCache(folder / "d.json"), []

    async def changed() -> None:
        changes.append("changed")

    links = folder / "split"
    store = ModelStore(registry=registry, catalog=catalog, blobs=blobs, digests=digests, links=links, changed=changed)
    return World(store, registry, blobs, digests, links, changes)
