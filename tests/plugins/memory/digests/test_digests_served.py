"""Digests in a running kernel: by its own model, with the settings of the predecessor."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hoshikage import Memory, Owner
from hoshikage.core.kernel import Kernel, assemble
from hoshikage.plugins.memory.digests import work as digesting
from hoshikage.plugins.memory.settings import DigestSettings
from tests.fakes import until

ANN = Owner("k", "ann")


@pytest.fixture
async def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One whose echo model writes digests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(digesting, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(digesting, "ROUND_S", 0.05)
    monkeypatch.setattr(digesting, "IDLE_POLL_S", 0.01)
    with capture_logs() as logs:
        found = Kernel(
            assemble(
                {
                    "HOSHIKAGE_PROJECT_DIR": str(tmp_path),
                    "HOSHIKAGE_DATA_DIR": "data",
                    "HOSHIKAGE_MEMORY__EMBEDDER": "none",
                    "HOSHIKAGE_DIGESTS__MODEL": "echo",
                    "HOSHIKAGE_ECHO__TOKENS_PER_SECOND": "0",
                    "CLUSTER_DIVISOR": "50",
                    "MIN_CLUSTERS": "2",
                    "MAX_CLUSTERS": "7",
                }
            )
        )
    assert [] == [entry for entry in logs if entry["log_level"] == "warning"]
    await found.start()
    yield found
    await found.stop()


async def test_the_old_names_set_the_groups(kernel):
    """Without a warning."""
    found = kernel.settings.section(DigestSettings)

    assert (50, 2, 7) == (found.cluster_divisor, found.min_clusters, found.max_clusters)


async def test_the_servers_own_model_writes(kernel):
    """Through the same door as everybody; what it is asked is not remembered as something said."""
    old = time.time() - 90 * 86_400
    said = [
        f"Turn {n} tells that the boat to Sado takes {n} hours and costs {n * 100} yen in winter." for n in range(20)
    ]
    turns = [Memory("", text, old + n, ("user", "assistant")[n % 2], "turn", "s1") for n, text in enumerate(said)]
    await kernel.memory.take(ANN, turns)

    async def digests() -> list[Memory]:
        return [memory for memory in await kernel.memory.newest(ANN, limit=100) if memory.kind == "digest"]

    await until(lambda: any(receipt.request_id.startswith("memory-") for receipt in kernel.receipts()))
    await kernel.memory.stats()
    found = await digests()
    while not found:
        found = await digests()

    assert 1 == len(found)
    assert found[0].text.startswith("<conversation>")
    assert len(turns) + 1 == (await kernel.memory.stats()).memories
