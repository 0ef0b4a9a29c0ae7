"""Recall: how much of the evidence is among the first few."""

from __future__ import annotations

import numpy as np

from benchmarks.memory.quality import best_of, mean_recall, recall_at


def test_recall():
    """Half of the evidence is half."""
    assert recall_at(["a", "b", "c"], {"b", "z"}, 2) == 0.5
    assert recall_at(["a", "b", "c"], {"c"}, 2) == 0.0


def test_mean_recall():
    """In per cent, every question alike."""
    assert mean_recall([["a"], ["b"]], [{"a"}, {"c"}], 1) == 50.0


def test_best():
    """The best first; of equal ones, the one that was said first."""
    assert [["c", "a"]] == best_of(np.array([[0.5, 0.5, 0.9]]), ["a", "b", "c"], 2)
