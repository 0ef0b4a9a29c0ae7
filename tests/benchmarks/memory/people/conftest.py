"""The benchmark, woven once for all tests."""

from __future__ import annotations

import pytest

from benchmarks.memory.people.model import Benchmark
from benchmarks.memory.people.weaving import generate


@pytest.fixture(scope="session")
def people() -> Benchmark:
    return generate()
