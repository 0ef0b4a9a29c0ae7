"""A real registry, and a downloader that may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hoshikage.core.blobs import BlobStore
from hoshikage.core.http import fetch, transfer
from hoshikage.core.settings import PullSettings
from hoshikage.plugins.ollama_registry.downloader import RegistryDownloader
from tests.file_server import FileServer
from tests.oci_registry import OciRegistry, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    """An open registry, shared: each test pushes under a name of its own."""
    with OciRegistry(tmp_path_factory.mktemp("registry"), free_port()).running() as registry:
        yield registry


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server that plays a registry with faults."""
    with FileServer().serving() as server:
        yield server


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    """An empty store."""
    return BlobStore(tmp_path / "data" / "blobs")


@pytest.fixture
def downloader_for(blobs: BlobStore) -> Callable[..., RegistryDownloader]:
    """A downloader that may call these hosts."""

    def build(*hosts: str) -> RegistryDownloader:
        return RegistryDownloader(blobs, PullSettings(allowed_hosts=hosts, stall_timeout_s=5.0), host=hosts[0])

    return build


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are short here."""
    for module in (fetch, transfer):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
