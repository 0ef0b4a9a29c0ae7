"""The numbers that the pooled context makes, for every kind of memory, and how it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import llama_cpp
import numpy as np
import pytest

from hoshikage.plugins.engine_llamacpp import frames
from hoshikage.plugins.engine_llamacpp.worker.reranking import rerank_prompts
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import answers, embed, scores, vectors

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

pytestmark = pytest.mark.model

TEXTS = ["cats purr", "a dog barks at the moon", "1 + 1 is 2", "purr, cats", "x"]
# Batches of other shapes are multiplied in another order, and the cache holds half-precision numbers.
ROUNDING = 3e-3


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_an_encoders_vectors_are_those_of_the_binding(open_embedder, tmp_path, pooling):
    """The binding's own high-level class computes the same from the same file."""
    file = tiny.write_bert(tmp_path / "bert.gguf", pooling=pooling)
    reference = llama_cpp.Llama(str(file), embedding=True, n_ctx=512, verbose=False)
    expected = [reference.embed(text, normalize=True) for text in TEXTS]
    reference.close()

    assert np.allclose(expected, embed(open_embedder(file), *TEXTS), atol=ROUNDING)


@pytest.mark.parametrize("kind", ["llama", "recurrent", "hybrid", "sliding_window", "bert"])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_inputs_that_share_steps_do_not_see_each_other(open_embedder, tmp_path, kind, pooling):
    """Every input has the vector that it has alone, for every kind of memory."""
    file = getattr(tiny, f"write_{kind}")(tmp_path / "model.gguf")
    embedder = open_embedder(file, pooling=pooling)
    alone = np.concatenate([embed(embedder, text) for text in TEXTS])

    assert np.allclose(alone, embed(embedder, *TEXTS), atol=ROUNDING)
    assert np.abs(alone[0] - alone[1]).max() > 10 * ROUNDING


def test_an_input_longer_than_a_step_is_computed_whole(bert):
    """Every token of it counts, the last one too."""
    long = "ab" * 200

    assert not np.allclose(embed(bert, long), embed(bert, long[:-1] + "z"), atol=1e-6)


def test_what_is_read_to_the_last_token_comes_in_several_steps(open_embedder, tmp_path):
    """A decoder whose last token stands for all takes long texts in parts, and computes the same."""
    file = tiny.write_llama(tmp_path / "llama.gguf")
    parts, whole = open_embedder(file, pooling="last"), open_embedder(file, pooling="last", n_ubatch=512, n_batch=512)
    parts.add(frames.Embed(1, ["ab " * 100]))
    steps = [parts.step() for _ in range(5)]

    assert [0, 0, 0, 0, 1] == [len(step) for step in steps]
    assert np.allclose(embed(whole, "ab " * 100), vectors(steps[-1][0]), atol=ROUNDING)


def test_a_generating_models_longest_input_is_bounded_by_memory(open_embedder, tmp_path, monkeypatch):
    """It computes the logits of all tokens at once, which a large vocabulary makes gigabytes of."""
    monkeypatch.setattr("hoshikage.plugins.engine_llamacpp.worker.pooling.MAX_LOGITS_BYTES", 100 * 4 * tiny.N_VOCAB)
    file = tiny.write_llama(tmp_path / "llama.gguf")

    assert 100 == open_embedder(file).add(frames.Embed(1, ["a" * 200])).n_ctx
    assert open_embedder(file, pooling="last").add(frames.Embed(1, ["a" * 200])) is None


def test_numbers_that_are_not_finite_are_not_handed_out(open_embedder, tmp_path):
    """A damaged weight ends the requests that meet it; JSON has no NaN."""
    file = tiny.write_bert(tmp_path / "bert.gguf")
    reader = gguf.GGUFReader(file, "r+")
    next(t for t in reader.tensors if t.name == "token_embd.weight").data[tiny.UNK] = np.nan
    reader.data.flush()
    embedder = open_embedder(file)
    embedder.add(frames.Embed(1, [[tiny.UNK]]))

    assert ["failed"] == [answer.kind for answer in answers(embedder)]
    assert np.isfinite(embed(embedder, "fine")).all()


def test_more_inputs_than_sequences_take_more_steps(bert):
    """However short they are: llama.cpp aborts the process at a sequence number that it was not told of."""
    bert.add(frames.Embed(1, [[tiny.CLS]] * 40))

    assert [] == bert.step()
    assert (40, 64) == vectors(answers(bert)[0]).shape


def test_without_memory_for_a_context_the_request_fails(bert, monkeypatch):
    """And the next one may have better luck."""
    bert.add(frames.Embed(1, ["a"]))
    with monkeypatch.context() as patch:
        patch.setattr(llama_cpp, "llama_init_from_model", lambda *_: None)
        (refused,) = bert.step()

    assert "not enough memory" in refused.reason
    assert (1, 64) == embed(bert, "a").shape


def test_of_several_outputs_the_first_is_the_score(open_embedder, tmp_path):
    """As in llama.cpp's own server; Qwen3-Reranker has yes before no."""
    file = tiny.write_bert(tmp_path / "two.gguf", pooling="rank", outputs=2)
    ranker = open_embedder(file)
    (tokens,) = rerank_prompts(ranker._model.model, "cats", ["purr"])

    assert pytest.approx(ranking_outputs(ranker._model, tokens)[0], abs=ROUNDING) == scores(ranker, "cats", "purr")[0]


def ranking_outputs(model: NativeModel, tokens: list[int]) -> list[float]:
    """All numbers of the ranking head, by a context made here."""
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 512
    params.embeddings, params.pooling_type = True, llama_cpp.LLAMA_POOLING_TYPE_RANK
    context = llama_cpp.llama_init_from_model(model.model, params)
    array = (llama_cpp.llama_token * len(tokens))(*tokens)
    assert llama_cpp.llama_encode(context, llama_cpp.llama_batch_get_one(array, len(tokens))) == 0
    found = llama_cpp.llama_get_embeddings_seq(context, 0)[: llama_cpp.llama_model_n_cls_out(model.model)]
    llama_cpp.llama_free(context)
    return found
