"""The whole application over echo models with files and a RAM disk that only notes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hoshikage.core.app import build_app
from hoshikage.core.kernel import Kernel, assemble
from tests.fakes import FakeStager
from tests.staged import put_models, put_stager

if TYPE_CHECKING:
    from quart.typing import TestClientProtocol

GIB = 1 << 30


@dataclass
class Place:
    """A kernel and a client of its application."""

    kernel: Kernel
    client: TestClientProtocol

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and body."""
        response = await self.client.get(path)
        return response.status_code, await response.get_json()

    async def post(self, path: str, body: object = None, **fields: Any) -> tuple[int, Any]:
        """Status and body."""
        response = await self.client.post(path, json=fields if body is None else body)
        return response.status_code, await response.get_json()

    @property
    def stager(self) -> FakeStager:
        """The one in use."""
        stager = self.kernel._storage.stager
        assert isinstance(stager, FakeStager)
        return stager

    def loaded(self) -> list[str]:
        """Names of loaded models."""
        return [view.record.name for view in self.kernel.status().loaded]


@pytest.fixture
async def place_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[Place]]]:
    """Builds started kernels over the models `small` and `big`; all are stopped at the end of the test."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    data = tmp_path / "data"
    put_models(data, small={"memory_bytes": 1000}, big={"memory_bytes": 10**6 * GIB})
    kernels: list[Kernel] = []

    async def build(*, available: bool = True, **variables: str) -> Place:
        chosen = put_stager(data, available=available)
        environ = {"HOSHIKAGE_PROJECT_DIR": str(tmp_path), "HOSHIKAGE_DATA_DIR": "data", **chosen, **variables}
        kernels.append(Kernel(assemble(environ)))
        client = build_app(kernels[-1], bound_to="127.0.0.1").test_client()
        await kernels[-1].start()
        return Place(kernels[-1], client)

    yield build
    for kernel in kernels:
        await kernel.stop()


@pytest.fixture
async def place(place_of: Callable[..., Awaitable[Place]]) -> Place:
    """One with settings as they are."""
    return await place_of()
