"""Registering what was found: what an import changes, and what it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from hoshikage.config.project import Project
from hoshikage.core.gguf import DigestCache
from hoshikage.core.importing import Found, register_found, scan_ollama
from hoshikage.core.registry import Registry, RegistryFiles
from tests.core.importing.stores import put_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    return Registry(RegistryFiles(*(tmp_path / name for name in ("map.json", "t.json", "o.json"))), Project(tmp_path))


@pytest.fixture
def digests(tmp_path: Path) -> DigestCache:
    """Of no file yet."""
    return DigestCache(tmp_path / "digests.json")


def scanned(root: Path) -> Found:
    (item,) = scan_ollama(root)
    assert isinstance(item, Found)
    return item


def test_import_brings_up_to_date(tmp_path: Path, registry: Registry, digests: DigestCache):
    """New, the same, changed over there."""
    put_model(tmp_path)
    outcomes = [register_found(scanned(tmp_path), registry, digests) for _ in range(2)]
    put_model(tmp_path, system="Be kind.")

    assert ["added", "unchanged", "updated"] == [*outcomes, register_found(scanned(tmp_path), registry, digests)]
    assert ["Be kind."] == [entry.system for entry in registry.entries().values()]


def test_what_was_made_of_an_import_is_left_alone(tmp_path: Path, registry: Registry, digests: DigestCache):
    """A model that was created in the place of the one it is made from keeps what its owner gave it."""
    put_model(tmp_path)
    found = scanned(tmp_path)
    mine = msgspec.structs.replace(found.entry, system="Mine.", parent=found.name)
    registry.add(found.name, mine)

    assert "name taken" == register_found(found, registry, digests)
    assert [mine] == list(registry.entries().values())
