"""The benchmarks of the vector index, small: they run, and their figures can be right. Each process takes a second."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.figures import OURS
from benchmarks.memory.clusters import DIMENSIONS, clustered
from benchmarks.memory.index_choice import WAYS, cost_of
from benchmarks.memory.reachability import measure
from benchmarks.memory.rows import index


def test_vectors_lie_in_clusters():
    """Of length 1, and near to some others, as those of texts are."""
    vectors = clustered(500, seed=1)
    cosines = np.sort(vectors @ vectors.T, axis=1)

    assert (500, DIMENSIONS) == vectors.shape
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert 0.5 < cosines[:, -10].mean() < 0.9
    assert abs(np.median(cosines)) < 0.2


@pytest.mark.parametrize("way", WAYS)
def test_each_way_finds_what_is_near(way):
    """With few memories all three find everything; the exact one always does."""
    cost = cost_of(way, memories=400, people=4, seed=1)

    assert cost.recall > (0.99 if way == "exact" else 0.9)
    assert 320 == cost.sample
    assert way != "exact" or cost.unreachable == 0
    assert min(cost.p50_ms, cost.disk_mib, cost.rss_mib, cost.fill_s) > 0
    assert cost.p50_ms <= cost.p95_ms


def test_reachability():
    """Both ways are asked the same, and through our index nothing is lost."""
    rows = measure(memories=200, cycles=1)

    ways = ("chroma alone, delete and add", "chroma alone, upsert", "hoshikage")
    assert [(way, cycle) for way in ways for cycle in (0, 1)] == [(row.way, row.cycle) for row in rows]
    assert {200} == {row.memories for row in rows}
    assert [0, 0] == [row.unreachable for row in rows if row.way == "hoshikage"]


async def test_the_rows_of_the_page(tmp_path, monkeypatch):
    """Each way of searching is a contestant. Here without a process for each, which takes a second and a half."""

    def in_this_process(sizes, people, ways):
        return [cost_of(ways[0], sizes[0], people[0], 1)]

    monkeypatch.setattr(index.index_choice, "measure", in_this_process)
    monkeypatch.setattr(index, "SHORT_MEMORIES", 60)
    ground = SimpleNamespace(short=True, folder=tmp_path)
    samples = [sample async for sample in index.IndexChoice(ground).samples()]
    samples += [sample async for sample in index.Churn(ground).samples()]

    assert [f"{way}, 60 of {n}" for n in (3, 1) for way in WAYS] == [s.contestant for s in samples[:6]]
    assert [OURS] == [sample.contestant for sample in samples[6:] if not sample.contestant.startswith("chroma alone")]
    assert all({name for name, _ in index.IndexChoice.headline} <= sample.values.keys() for sample in samples[:6])
    assert 0 == samples[-1].values["unreachable"]
