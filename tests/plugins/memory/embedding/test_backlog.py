"""A backlog in pieces."""

from __future__ import annotations

import pytest

from hoshikage.plugins.memory.embedding.backlog import Progress, batch_size


def test_a_short_backlog_says_nothing():
    """Two memories after each answer are no news."""
    progress = Progress("topics")

    assert not progress.is_due(2)
    assert not progress.is_due(0)


@pytest.mark.parametrize(
    ("lengths", "expected"), [([], 0), ([9000], 1), ([200, 200, 200], 2), ([10, 9000, 10], 1), ([10] * 16, 16)]
)
def test_batches_are_small(lengths, expected):
    """A question waits for the one before it."""
    assert expected == batch_size(lengths)
