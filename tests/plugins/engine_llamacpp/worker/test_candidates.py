"""The array that samplers work on."""

from __future__ import annotations

import llama_cpp
import numpy as np
import pytest

from hoshikage.plugins.engine_llamacpp.worker.candidates import TOKEN_DATA, Candidates, logits_of

pytestmark = pytest.mark.model


def test_the_layout_is_that_of_llama_cpp():
    """Field by field, or every choice is wrong."""
    import ctypes

    theirs = llama_cpp.llama_token_data

    assert ctypes.sizeof(theirs) == TOKEN_DATA.itemsize
    assert [getattr(theirs, name).offset for name in TOKEN_DATA.names] == [f[1] for f in TOKEN_DATA.fields.values()]


@pytest.mark.parametrize(("only", "expected"), [(None, 2), ([0, 3], 3), ([0], 0)])
def test_a_sampler_chooses_among_the_tokens(only, expected):
    """All of them, or only some."""
    candidates, greedy = Candidates(4), llama_cpp.llama_sampler_init_greedy()
    ids = None if only is None else np.array(only, np.int32)

    candidates.fill(np.array([0.5, 1, 9, 3], np.float32), ids)
    candidates.apply(greedy)

    assert expected == candidates.chosen
    llama_cpp.llama_sampler_free(greedy)


def test_it_can_be_filled_again_after_samplers_have_sorted_it():
    """They shorten it as well."""
    candidates, top = Candidates(4), llama_cpp.llama_sampler_init_top_k(1)
    for _ in range(2):
        candidates.fill(np.array([0.5, 1, 9, 3], np.float32))
        candidates.apply(top)

        assert [2] == candidates.possible().tolist()
    llama_cpp.llama_sampler_free(top)


def test_possible_tokens_are_those_above_minus_infinity(letters):
    """As a bias or a grammar leaves them."""
    row = llama_cpp.llama_logit_bias(7, float("-inf"))
    bias = llama_cpp.llama_sampler_init_logit_bias(letters.model.n_vocab, 1, (llama_cpp.llama_logit_bias * 1)(row))
    candidates = Candidates(3)

    candidates.fill_ids([6, 7, 8])
    candidates.apply(bias)

    assert [6, 8] == candidates.possible().tolist()
    llama_cpp.llama_sampler_free(bias)


def test_logits_are_read_in_place(letters):
    """Without a copy of the whole vocabulary for every token."""
    letters.want(5, 6)

    assert 5 == int(logits_of(letters.model.context, 0, letters.model.n_vocab).argmax())
