"""The prompt that lets a model fill a gap."""

from __future__ import annotations

import pytest

from hoshikage.plugins.engine_llamacpp.worker.infill import InfillUnsupported, infill_prompt
from hoshikage.plugins.engine_llamacpp.worker.tokens import tokenize
from tests.plugins.engine_llamacpp import tiny
from tests.plugins.engine_llamacpp.natives import init_of, native_model

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with the tokens for it."""
    with native_model(init_of(tiny.write_llama(tmp_path_factory.mktemp("fim") / "llama.gguf"))) as loaded:
        yield loaded


def text(model, tokens: list[int]) -> str:
    """What the tokens say, special ones by name."""
    return model.text_of(tokens)


def test_prefix_and_suffix_stand_before_the_middle(model):
    """In the order in which models learn it, with the token that begins every prompt."""
    prompt = infill_prompt("def f(:", "return 1", model.vocab)

    assert "<s><|fim_prefix|>def f(:<|fim_suffix|>return 1<|fim_middle|>" == text(model, prompt)


def test_the_marks_are_tokens(model):
    """Not their names, letter by letter."""
    marks = [tiny.BOS, tiny.FIM_PRE, tiny.FIM_SUF, tiny.FIM_MID]

    assert marks == infill_prompt("", "", model.vocab)


def test_names_of_special_tokens_in_the_code_stay_text(model):
    """Code about language models has them, and must not move the gap."""
    prompt = infill_prompt("a<|fim_suffix|>b", "</s>", model.vocab)

    assert [tiny.FIM_SUF] == [token for token in prompt if token == tiny.FIM_SUF]
    assert tiny.EOS not in prompt
    assert "<s><|fim_prefix|>a<|fim_suffix|>b<|fim_suffix|></s><|fim_middle|>" == text(model, prompt)


def test_a_model_without_the_tokens_says_so(tmp_path):
    """It would take the marks for text and go on after the suffix."""
    with (
        native_model(init_of(tiny.write_llama(tmp_path / "chat.gguf", fim=False))) as chat,
        pytest.raises(InfillUnsupported, match="no fill-in-the-middle tokens"),
    ):
        infill_prompt("a", "b", chat.vocab)


def test_half_a_character_is_replaced(model):
    """JSON can carry half a surrogate pair; it becomes a question mark instead of an error."""
    assert "?" == text(model, tokenize(model.vocab, "\ud83d", add_special=False, parse_special=False))
