"""What memory adds to the first token: the arithmetic, and a short run with the real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.memory.first_token import AS_LONG, OFF, ON, Turn, conversation_values, first_token


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
    assert {OFF, ON, AS_LONG} == tokens.keys()
    assert all(0 < s.values["but_prefill_s"] < s.values["first_token_s"] for s in first.samples)
    assert 0 == values[OFF]["block"] < values[ON]["block"]
    assert values[ON]["beyond"] <= 2
