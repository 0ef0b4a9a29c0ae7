"""What memory adds to the first token: the arithmetic, and a short run with the real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import Sample
from benchmarks.memory.first_token import AS_LONG, OFF, ON, Turn, added_s, conversation_values, first_token


def test_what_is_added_is_a_difference_within_a_round():
    """A slow minute of the machine meets both; a round without the other one does not count."""
    times = {(OFF, 0): 1.0, (ON, 0): 2.0, (AS_LONG, 0): 1.75, (OFF, 1): 3.0, (ON, 1): 5.0}
    samples = [Sample(who, number, {"but_prefill_s": value}) for (who, number), value in times.items()]

    assert ([0.25], [1.0, 2.0]) == (added_s(samples), added_s(samples, against=OFF))


def test_a_turn_may_compute_its_block_and_the_turn_before():
    """What is more than that, in the worst turn, is beyond."""
    without = [Turn(100, 0, 0), Turn(20, 0, 40)]
    good = [Turn(150, 50, 0), Turn(110, 50, 40)]
    bad = [Turn(150, 50, 0), Turn(210, 50, 40)]

    assert 0 == conversation_values(good, without)["beyond"]
    assert 100 == conversation_values(bad, without)["beyond"]


@pytest.mark.model
async def test_a_short_run(tmp_path: Path, smollm2_path: Path):
    """One round and one conversation over few memories; it starts the server twice, which takes some ten seconds."""
    patient = {"HOSHIKAGE_MEMORY__RECALL_LIMIT_S": "10"}  # other tests may use every core
    small = {"memories": 100, "rounds": 1, "conversations": 1, "turns": 2, "n_threads": 1}
    first, grown = await first_token(smollm2_path, tmp_path, **small, variables=patient)
    tokens = {sample.contestant: sample.values["prompt_tokens"] for sample in first.samples}
    values = {sample.contestant: sample.values for sample in grown.samples}

    assert tokens[OFF] < tokens[ON]
    assert abs(tokens[AS_LONG] - tokens[ON]) <= 2
    assert 1 == len(added_s(first.samples))
    assert 0 == values[OFF]["block"] < values[ON]["block"]
    assert values[ON]["beyond"] <= 2
