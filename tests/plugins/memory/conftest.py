"""Benches of the vector index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.memory.bench import Bench


@pytest.fixture
async def bench_in():
    """Opens benches; all are closed at the end."""
    built: list[Bench] = []

    def build(folder: Path, **choice: object) -> Bench:
        built.append(Bench(folder, **choice))
        return built[-1]

    yield build
    for bench in built:
        await bench.close()


@pytest.fixture
def bench(bench_in, tmp_path) -> Bench:
    return bench_in(tmp_path)
