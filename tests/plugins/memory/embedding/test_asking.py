"""Which embedder is taken, and what of its answers is believed."""

from __future__ import annotations

import numpy as np
import pytest
from structlog.testing import capture_logs

from hoshikage.core.errors import EmbedderFailed
from hoshikage.plugins.memory.embedding.asking import choose_embedder, vectors_of
from tests.plugins.memory.topics import Topics


async def test_numbers_that_are_not_finite_are_refused(monkeypatch):
    """They would be nearest to everything, or to nothing."""
    topics = Topics()

    async def broken(texts, kind):
        return np.full((len(texts), 3), np.nan, dtype=np.float32)

    monkeypatch.setattr(topics, "embed", broken)

    with pytest.raises(EmbedderFailed, match="not finite"):
        await vectors_of(topics, ["a cat"], "query")


def test_a_bug_in_the_choice_passes_it_over(monkeypatch):
    """The next one is taken."""
    broken, good = Topics(), Topics()
    monkeypatch.setattr(broken, "at_hand", lambda: 1 / 0)

    assert good is choose_embedder("", [broken, good])


@pytest.mark.parametrize(
    ("name", "hands", "expected"),
    [("", (True, True), 0), ("", (False, True), 1), ("", (False, False), None), ("none", (True, True), None)],
)
def test_without_a_name_it_is_the_first_whose_model_is_at_hand(name, hands, expected):
    """In the order in which they are offered."""
    offered = [Topics(n) for n in range(2)]
    for embedder, hand in zip(offered, hands, strict=True):
        embedder.hand = hand

    assert (None if expected is None else offered[expected]) is choose_embedder(name, offered)


def test_a_named_one_is_taken_wherever_its_model_is():
    """It tells itself what is missing; a name that nobody offers is told at once."""
    topics = Topics()
    topics.hand = False
    with capture_logs() as logs:
        found = choose_embedder("topics", [topics]), choose_embedder("typo", [topics])

    assert (topics, None) == found
    assert [("embedder_unknown", "typo", "topics")] == [(row["event"], row["value"], row["offered"]) for row in logs]
