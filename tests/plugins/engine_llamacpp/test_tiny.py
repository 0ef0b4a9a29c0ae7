"""The tiny models themselves: llama.cpp loads them, and their answers can tell right from wrong."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np
import pytest

from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import init_of, native_model

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel

pytestmark = pytest.mark.model

GENERATING = ["llama", "draft", "sliding_window", "recurrent", "hybrid"]
ALL = [*GENERATING, "bert"]
PROMPT = "Hello there."
N_TOKENS = 24


@pytest.fixture
def file(tmp_path):
    """Where a model is written."""
    return tmp_path / "model.gguf"


def write(kind: str, file):
    """Write a model by the name of its kind."""
    return getattr(tiny, f"write_{kind}")(file)


def likeliest(model: NativeModel, tokens: list[int]) -> list[int]:
    """After each token, the likeliest next one; computed in one batch with an empty memory."""
    memory = llama_cpp.llama_get_memory(model.context)
    llama_cpp.llama_memory_clear(memory, True)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    for row, token in enumerate(tokens):
        batch.token[row], batch.pos[row] = token, row
        batch.n_seq_id[row], batch.seq_id[row][0], batch.logits[row] = 1, 0, True
    batch.n_tokens = len(tokens)
    assert llama_cpp.llama_decode(model.context, batch) == 0
    llama_cpp.llama_batch_free(batch)
    rows = (llama_cpp.llama_get_logits_ith(model.context, row) for row in range(len(tokens)))
    return [int(np.ctypeslib.as_array(row, shape=(model.n_vocab,)).argmax()) for row in rows]


def answer(model: NativeModel, prompt: str = PROMPT) -> list[int]:
    """Greedily chosen tokens."""
    tokens = model.tokenize(prompt, templated=False)
    n_prompt = len(tokens)
    for _ in range(N_TOKENS):
        tokens.append(likeliest(model, tokens)[-1])
    return tokens[n_prompt:]


@pytest.mark.parametrize("kind", ALL)
def test_each_is_written_the_same_every_time(tmp_path, kind):
    """A test that fails once fails again."""
    first, second = write(kind, tmp_path / "1.gguf"), write(kind, tmp_path / "2.gguf")

    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("kind", GENERATING)
def test_each_says_characters_and_does_not_end(file, kind):
    """Answers are as long as asked for, and can be read."""
    with native_model(init_of(write(kind, file))) as model:
        assert all(token >= tiny.FIRST_LETTER for token in answer(model))


@pytest.mark.parametrize("kind", GENERATING)
def test_what_each_says_depends_on_the_first_token(file, kind):
    """So an answer shows whether the beginning of its prompt was there."""
    with native_model(init_of(write(kind, file))) as model:
        assert answer(model) != answer(model, "J" + PROMPT[1:])


def test_kinds_of_memory(tmp_path):
    """Only plain attention can be cut at any token."""
    found = {}
    for kind in GENERATING:
        with native_model(init_of(write(kind, tmp_path / f"{kind}.gguf"))) as model:
            handle = model.model
            found[kind] = (
                llama_cpp.llama_model_is_recurrent(handle),
                llama_cpp.llama_model_is_hybrid(handle),
                llama_cpp.llama_model_n_swa(handle),
            )

    assert {
        "llama": (False, False, 0),
        "draft": (False, False, 0),
        "sliding_window": (False, False, tiny.SLIDING_WINDOW),
        "recurrent": (True, False, 0),
        "hybrid": (False, True, 0),
    } == found


def test_the_adapter_changes_the_answer(tmp_path):
    """From the first token on."""
    adapter = tiny.write_lora(tmp_path / "lora.gguf")
    with native_model(init_of(tiny.write_llama(tmp_path / "llama.gguf"))) as model:
        before = answer(model)
        handle = llama_cpp.llama_adapter_lora_init(model.model, str(adapter).encode())
        handles, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(handle), (ctypes.c_float * 1)(1.0)
        llama_cpp.llama_set_adapters_lora(model.context, handles, 1, scales)
        after = answer(model)
        llama_cpp.llama_set_adapters_lora(model.context, handles, 0, scales)
        without = answer(model)
        llama_cpp.llama_adapter_lora_free(handle)

    assert before != after
    assert before == without


def test_most_guesses_of_the_draft_are_right(tmp_path):
    """But not all, so that both cases are met."""
    with native_model(init_of(tiny.write_llama(tmp_path / "llama.gguf"))) as model:
        prompt = model.tokenize(PROMPT, templated=False)
        said = answer(model)
    with native_model(init_of(tiny.write_draft(tmp_path / "draft.gguf"))) as draft:
        guessed = likeliest(draft, [*prompt, *said])[len(prompt) - 1 : -1]

    assert N_TOKENS // 2 < sum(a == b for a, b in zip(said, guessed, strict=True)) < N_TOKENS


def test_the_vocabulary_writes_everything(file):
    """Common characters have a token each, all others their bytes; names of specials are specials."""
    with native_model(init_of(tiny.write_llama(file))) as model:
        tokens = model.tokenize("<|im_start|>Tag ja, 日本!", templated=False)

        assert [tiny.BOS, tiny.IM_START] == tokens[:2]
        assert 2 + len("Tag ja, ") + 2 * 3 + 1 == len(tokens)
        assert "Tag ja, 日本!" == b"".join(model.piece(token) for token in tokens).decode()


def test_a_chat_template_is_in_the_file(file):
    """Where one is asked for."""
    with native_model(init_of(tiny.write_llama(file, chat_template=tiny.CHATML))) as model:
        assert tiny.CHATML == model.chat_template()
        assert model.ends_answer(tiny.IM_END)
        assert model.ends_answer(tiny.EOS)
