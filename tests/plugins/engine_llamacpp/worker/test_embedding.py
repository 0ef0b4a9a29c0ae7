"""Requests for vectors and scores: what is refused, how inputs share steps, and what is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import llama_cpp
import numpy as np
import pytest

from hoshikage.plugins.engine_llamacpp import frames
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import answers, embed, scores, vectors

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.embedding import Embedder

pytestmark = pytest.mark.model

TEXTS = ["cats purr", "a dog barks at the moon", "1 + 1 is 2", "purr, cats", "x"]
# Batches of other shapes are multiplied in another order, and the cache holds half-precision numbers.
ROUNDING = 3e-3


@pytest.fixture
def ranker(open_embedder, tmp_path) -> Embedder:
    """An encoder with a ranking head."""
    return open_embedder(tiny.write_bert(tmp_path / "ranker.gguf", pooling="rank", outputs=1))


# --- vectors ---


def test_vectors_have_length_one(bert):
    """Callers compare vectors by their dot product."""
    assert np.allclose(1, np.linalg.norm(embed(bert, *TEXTS), axis=1), atol=1e-5)


def test_a_file_without_pooling_takes_the_mean(open_embedder, tmp_path):
    """Models that were made to generate say nothing about pooling."""
    silent = open_embedder(tiny.write_bert(tmp_path / "silent.gguf", pooling=""))
    mean = open_embedder(tiny.write_bert(tmp_path / "mean.gguf", pooling="mean"))

    assert np.array_equal(embed(mean, *TEXTS), embed(silent, *TEXTS))


def test_the_setting_wins_over_the_file(open_embedder, tmp_path):
    """An operator can say what a badly converted file forgot."""
    file = tiny.write_bert(tmp_path / "mean.gguf", pooling="mean")
    cls = tiny.write_bert(tmp_path / "cls.gguf", pooling="cls")

    assert np.array_equal(embed(open_embedder(cls), *TEXTS), embed(open_embedder(file, pooling="cls"), *TEXTS))


def test_token_ids_are_taken_as_they_are(bert):
    """The ids that a text becomes have the text's vector; nothing is added around them."""
    ids = bert._model.tokenize(TEXTS[0], templated=False)

    assert np.array_equal(embed(bert, TEXTS[0]), embed(bert, ids))
    assert not np.allclose(embed(bert, TEXTS[0]), embed(bert, ids[1:]), atol=ROUNDING)


@pytest.mark.parametrize("write", [tiny.write_bert, tiny.write_llama])
@pytest.mark.parametrize("nothing", ["", []])
def test_an_empty_input_has_a_vector(open_embedder, tmp_path, write, nothing):
    """Of the tokens that the vocabulary puts around every text, or of the one that begins one."""
    assert np.isfinite(embed(open_embedder(write(tmp_path / "model.gguf")), nothing)).all()


def test_prompt_tokens_are_those_computed(bert):
    """`[CLS]` and `[SEP]` count; what was cut off does not."""
    bert.add(frames.Embed(1, ["abc", "ab"]))
    bert.add(frames.Embed(2, ["a" * 600], truncate=True))

    assert [5 + 4, 512] == [answer.prompt_tokens for answer in answers(bert)]


def test_sentences_of_one_meaning_are_close(open_embedder, smollm2_path):
    """The real model, which was not made for this, still knows what a text is about."""
    embedder = open_embedder(smollm2_path)
    cat, kitten, stocks = embed(
        embedder, "A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell by five percent."
    )

    assert cat @ kitten > cat @ stocks + 0.1


# --- long inputs ---


def test_too_long_is_refused_with_both_numbers(bert):
    """Before anything is computed, and naming the input."""
    refused = bert.add(frames.Embed(3, ["short", "a" * 600]))

    assert ("context", 602, 512, "input") == (refused.kind, refused.prompt_tokens, refused.n_ctx, refused.param)
    assert "input 1 has 602 tokens" in refused.reason
    assert not bert.busy


def test_truncation_keeps_the_token_that_marks_the_end(bert):
    """As many tokens as the model takes, the last of them still `[SEP]`."""
    ids = bert._model.tokenize("a" * 600, templated=False)
    expected = embed(bert, [*ids[:511], tiny.SEP])

    assert np.array_equal(expected, embed(bert, "a" * 600, truncate=True))


def test_truncation_without_such_a_token_just_cuts(open_embedder, tmp_path):
    """A vocabulary that puts nothing after a text."""
    embedder = open_embedder(tiny.write_llama(tmp_path / "llama.gguf"))

    assert np.array_equal(embed(embedder, "a" * 511), embed(embedder, "a" * 600, truncate=True))


# --- requests that cannot be ---


@pytest.mark.parametrize("token", [-1, 10_000])
def test_an_unknown_token_is_refused_by_name(bert, token):
    """llama.cpp would refuse the whole step, and with it the others in it."""
    refused = bert.add(frames.Embed(1, ["fine", [5, token]]))

    assert ("invalid", "input") == (refused.kind, refused.param)
    assert f"input 1 has token {token}" in refused.reason


def test_no_inputs_are_refused(bert, ranker):
    """Such a request would never be complete."""
    assert "input" == bert.add(frames.Embed(1, [])).param
    assert "documents" == ranker.add(frames.Rerank(1, "q", [])).param


@pytest.mark.parametrize("write", [tiny.write_llama, tiny.write_bert])
def test_only_models_with_a_ranking_head_rank(open_embedder, tmp_path, write):
    """llama.cpp would take the first number of anything for a score."""
    refused = open_embedder(write(tmp_path / "model.gguf")).add(frames.Rerank(1, "q", ["d"]))

    assert "unsupported" == refused.kind
    assert write.__name__.removeprefix("write_") in refused.reason


def test_a_ranking_model_makes_no_vectors(ranker):
    """It was trained for scores alone, unless the operator says how to pool."""
    assert "unsupported" == ranker.add(frames.Embed(1, ["a"])).kind


# --- the queue ---


def test_nothing_is_allocated_before_the_first_input(bert):
    """Most models only generate."""
    assert not bert.busy
    assert [] == bert.step()
    assert {} == bert._contexts


def test_requests_share_a_step(bert):
    """What fits together is computed together, and answered in the order of arrival."""
    for number in (7, 8, 9):
        bert.add(frames.Embed(number, ["ab", "cd"]))

    assert [7, 8, 9] == [answer.id for answer in bert.step()]
    assert not bert.busy


def test_a_step_has_so_many_tokens(bert):
    """The next input waits for the next step where it does not fit."""
    for number in (1, 2, 3):
        bert.add(frames.Embed(number, ["a" * 28]))  # 30 tokens, of 64

    assert [[1, 2], [3]] == [[answer.id for answer in bert.step()] for _ in range(2)]


def test_yielding_keeps_steps_short(open_embedder, tmp_path):
    """While others generate, a step holds no more than is computed in the longest pause."""
    embedder = open_embedder(tiny.write_bert(tmp_path / "bert.gguf"), max_pause_s=1e-9)
    embedder.add(frames.Embed(1, ["a", "b", "c"]))

    assert [0, 0, 1] == [len(embedder.step(yielding=True)) for _ in range(3)]


def test_a_cancelled_request_is_not_computed(bert):
    """The others are, and nobody gets its answer."""
    bert.add(frames.Embed(1, ["a"]))
    bert.add(frames.Embed(2, ["b"]))
    bert.cancel(1)

    assert [2] == [answer.id for answer in answers(bert)]


def test_a_request_cancelled_halfway_leaves_nothing_behind(open_embedder, tmp_path):
    """The next one gets its sequence number with an empty memory."""
    embedder = open_embedder(tiny.write_recurrent(tmp_path / "mamba.gguf"), pooling="last")
    expected = embed(embedder, TEXTS[0])
    embedder.add(frames.Embed(1, ["a" * 300]))
    embedder.step()
    embedder.cancel(1)

    assert np.allclose(expected, embed(embedder, TEXTS[0]), atol=1e-6)


@pytest.mark.parametrize("write", [tiny.write_bert, tiny.write_llama])
def test_a_failed_step_ends_its_requests_and_no_others(open_embedder, tmp_path, monkeypatch, write):
    """llama.cpp's code is in the reason; the next step computes as if nothing had happened."""
    embedder = open_embedder(write(tmp_path / "model.gguf"))
    expected = embed(embedder, TEXTS[0])
    embedder.add(frames.Embed(1, ["a" * 60]))
    embedder.add(frames.Embed(2, [TEXTS[0]]))
    with monkeypatch.context() as patch:
        for call in ("llama_decode", "llama_encode"):
            patch.setattr(llama_cpp, call, lambda *_: -3)
        (refused,) = embedder.step()
    (answer,) = answers(embedder)

    assert (1, "failed") == (refused.id, refused.kind)
    assert "code -3" in refused.reason
    assert np.allclose(expected, vectors(answer), atol=ROUNDING)


# --- scores ---


def test_a_document_has_the_same_score_beside_others(ranker):
    """Documents of one request share steps, and do not see each other."""
    together = scores(ranker, "cats", *TEXTS)

    assert np.allclose([scores(ranker, "cats", text)[0] for text in TEXTS], together, atol=ROUNDING)
    assert len(set(together)) == len(TEXTS)


def test_a_score_depends_on_the_query(ranker):
    """The pair is read as a whole."""
    assert scores(ranker, "cats", "purr") != pytest.approx(scores(ranker, "dogs", "purr"), abs=ROUNDING)


def test_a_pair_counts_its_separators(ranker):
    """They are computed like every other token."""
    ranker.add(frames.Rerank(1, "abc", ["ab", "a"]))
    (answer,) = answers(ranker)

    assert (3 + 2 + 3) + (3 + 1 + 3) == answer.prompt_tokens


def test_a_head_that_the_file_does_not_announce_is_found(open_embedder, tmp_path):
    """Older conversions have the head's tensors, but no pooling type."""
    old = open_embedder(tiny.write_bert(tmp_path / "old.gguf", pooling="", outputs=1))
    new = open_embedder(tiny.write_bert(tmp_path / "new.gguf", pooling="rank", outputs=1))

    assert scores(new, "cats", *TEXTS) == scores(old, "cats", *TEXTS)


def test_a_pair_that_is_too_long_is_refused(ranker):
    """Cutting a document would give it a score that it does not deserve."""
    refused = ranker.add(frames.Rerank(1, "cats", ["fine", "a" * 600]))

    assert ("context", "documents") == (refused.kind, refused.param)
    assert "document 1 has" in refused.reason


def test_vectors_and_scores_wait_in_one_queue(open_embedder, tmp_path):
    """Each is made in its own way, and in the order of arrival, where the operator lets a ranking model do both."""
    both = open_embedder(tiny.write_bert(tmp_path / "both.gguf", pooling="rank", outputs=1), pooling="mean")
    expected = embed(both, "a"), scores(both, "cats", "purr"), embed(both, "b")
    both.add(frames.Embed(1, ["a"]))
    both.add(frames.Rerank(2, "cats", ["purr"]))
    both.add(frames.Embed(3, ["b"]))
    first, second, third = answers(both)

    assert [1, 2, 3] == [first.id, second.id, third.id]
    assert np.allclose(np.concatenate([expected[0], expected[2]]), np.concatenate([vectors(first), vectors(third)]))
    assert expected[1] == second.scores
